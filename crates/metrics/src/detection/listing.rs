//! What an annotation file lists, without its annotations.

use std::path::Path;

use super::Category;
use super::error::DetectionError;
use super::json;

/// The images and categories of a file in COCO's annotation format, which is read as leniently as a ground truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The images, in the order of the file.
    pub images: Vec<ListedImage>,
    /// The categories; none if the file does not list them. A name that the file lacks is empty.
    pub categories: Vec<Category>,
}

/// An image of an annotation file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// Identifier.
    pub id: u64,
    /// Path below the folder of the images, as the file has it.
    pub file_name: String,
}

impl Listing {
    /// Reads a file.
    ///
    /// # Errors
    /// If the file cannot be read or has another structure.
    pub fn read(path: &Path) -> Result<Self, DetectionError> {
        let file = json::listing(path)?;
        let images = file.images.into_iter().map(|image| ListedImage {
            id: image.id,
            file_name: image.file_name,
        });
        let categories = file.categories.into_iter().map(|category| Category {
            id: category.id,
            name: category.name.unwrap_or_default(),
        });
        Ok(Self {
            images: images.collect(),
            categories: categories.collect(),
        })
    }
}
