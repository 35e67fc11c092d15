//! What every detection dataset offers.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;

use super::mask::Mask;
use super::skipped::Skipped;
use crate::error::DataError;

/// One object of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Identifier of the annotation, unique within the split.
    pub id: u64,
    /// Index of the class.
    pub class: usize,
    /// Left, top, right and bottom in pixels of the image that holds it.
    pub bounds: [f32; 4],
    /// Its pixels, at the resolution of the file; none where only boxes are annotated.
    pub mask: Option<Arc<Mask>>,
    /// Whether it stands for many objects of the class: neither right nor wrong to find.
    pub is_crowd: bool,
    /// Whether the annotators called it difficult: neither right nor wrong to find.
    pub is_difficult: bool,
}

impl Instance {
    /// Whether a detector is trained to find it.
    pub fn is_trained_on(&self) -> bool {
        !self.is_crowd && !self.is_difficult
    }

    /// Width in pixels.
    pub fn width(&self) -> f32 {
        self.bounds[2] - self.bounds[0]
    }

    /// Height in pixels.
    pub fn height(&self) -> f32 {
        self.bounds[3] - self.bounds[1]
    }
}

/// An image and the objects in it.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionSample {
    /// Identifier within the dataset, usually the file stem.
    pub id: String,
    /// Number of the image, as result files name it.
    pub image_id: u64,
    /// Colours, 0 to 255.
    pub image: RgbImage,
    /// The objects; their masks are of the size of the image.
    pub instances: Vec<Instance>,
}

impl DetectionSample {
    /// Refuses boxes that do not lie within the image, masks of another size, and classes beyond the
    /// number of `classes`.
    ///
    /// # Errors
    /// [`DataError::InconsistentInstance`].
    pub fn check(&self, classes: usize) -> Result<(), DataError> {
        let (width, height) = self.image.dimensions();
        for instance in &self.instances {
            let [left, top, right, bottom] = instance.bounds;
            // Written so that NaN fails.
            let inside = left >= 0.0
                && top >= 0.0
                && left <= right
                && top <= bottom
                && right <= width as f32
                && bottom <= height as f32;
            let reason = if !inside {
                format!(
                    "its box {:?} is not within the image of {width}x{height}",
                    instance.bounds
                )
            } else if instance.class >= classes {
                format!(
                    "its class is {}, but there are {classes} classes",
                    instance.class
                )
            } else if let Some(mask) = &instance.mask
                && mask.image_size() != (width, height)
            {
                let (mask_width, mask_height) = mask.image_size();
                format!("its mask is {mask_width}x{mask_height}, but the image is {width}x{height}")
            } else {
                continue;
            };
            return Err(DataError::InconsistentInstance {
                id: self.id.clone(),
                instance: instance.id,
                reason,
            });
        }
        Ok(())
    }
}

/// One split of a detection dataset.
pub trait DetectionDataset: Send + Sync {
    /// Name of the dataset, such as `coco`.
    fn name(&self) -> &str;

    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the classes, by index.
    fn classes(&self) -> &[String];

    /// One RGB colour per class.
    fn palette(&self) -> &[[u8; 3]];

    /// The category of every class, as result files name it.
    fn category_ids(&self) -> &[u64];

    /// Identifier of sample `index`; empty beyond the end.
    fn id(&self, index: usize) -> String;

    /// The file of the image of sample `index`, if it comes from one.
    fn image_file(&self, _index: usize) -> Option<&Path> {
        None
    }

    /// Refuses a split in which an object has no mask, without reading any; where samples are drawn
    /// rather than read, there is none to look for.
    ///
    /// # Errors
    /// [`DataError::Annotations`] with the first such object and their number.
    fn require_masks(&self) -> Result<(), DataError> {
        Ok(())
    }

    /// Reads and checks sample `index`.
    ///
    /// # Errors
    /// What is wrong with the sample's files, or an index beyond the end.
    fn get(&self, index: usize) -> Result<DetectionSample, DataError>;

    /// Annotations and images that were found but are not part of the dataset.
    fn skipped(&self) -> Skipped {
        Skipped::default()
    }

    /// The COCO json the annotations come from, if there is one, to measure against.
    fn annotation_file(&self) -> Option<&Path> {
        None
    }
}
