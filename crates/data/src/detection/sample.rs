//! Detection samples and the trait of detection datasets.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;

use super::mask::Mask;
use super::skipped::Skipped;
use crate::error::DataError;

/// An object in an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Identifier of the annotation, unique within the split.
    pub id: u64,
    /// Index of the class.
    pub class: usize,
    /// Left, top, right and bottom in pixels of its image.
    pub bounds: [f32; 4],
    /// Its mask, at the resolution of the file; `None` if only boxes are annotated.
    pub mask: Option<Arc<Mask>>,
    /// Whether it is a crowd region: detections in it count neither as right nor as wrong.
    pub is_crowd: bool,
    /// Whether it is marked as difficult: detections of it count neither as right nor as wrong.
    pub is_difficult: bool,
}

impl Instance {
    /// Whether a detector is trained on it.
    pub fn is_trained_on(&self) -> bool {
        !self.is_crowd && !self.is_difficult
    }

    /// Returns the width in pixels.
    pub fn width(&self) -> f32 {
        self.bounds[2] - self.bounds[0]
    }

    /// Returns the height in pixels.
    pub fn height(&self) -> f32 {
        self.bounds[3] - self.bounds[1]
    }
}

/// An image and the objects in it.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionSample {
    /// Identifier in the dataset, usually the file stem.
    pub id: String,
    /// Image identifier in result files.
    pub image_id: u64,
    /// Colours, 0 to 255.
    pub image: RgbImage,
    /// The objects; their masks have the size of the image.
    pub instances: Vec<Instance>,
}

impl DetectionSample {
    /// Checks that boxes are inside the image, masks have its size, and class indices are below `classes`.
    ///
    /// # Errors
    /// [`DataError::InconsistentInstance`] for the first object that fails.
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
                    "its class is {}, but the number of classes is {classes}",
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

/// A split of a detection dataset.
pub trait DetectionDataset: Send + Sync {
    /// Returns the name of the dataset, such as `coco`.
    fn name(&self) -> &str;

    /// Returns the number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the names of the classes, by index.
    fn classes(&self) -> &[String];

    /// Returns one RGB colour per class.
    fn palette(&self) -> &[[u8; 3]];

    /// Returns the category identifier of every class in result files.
    fn category_ids(&self) -> &[u64];

    /// Returns the identifier of sample `index`; empty if the index is out of range.
    fn id(&self, index: usize) -> String;

    /// Returns the image file of sample `index`, if there is one.
    fn image_file(&self, _index: usize) -> Option<&Path> {
        None
    }

    /// Checks that every object has a mask, without reading any. Datasets that render their samples do nothing.
    ///
    /// # Errors
    /// [`DataError::Annotations`] with the first object without a mask and their number.
    fn require_masks(&self) -> Result<(), DataError> {
        Ok(())
    }

    /// Reads and checks sample `index`.
    ///
    /// # Errors
    /// The error of the sample's files, or an index out of range.
    fn get(&self, index: usize) -> Result<DetectionSample, DataError>;

    /// Returns the annotations and images that the dataset skips.
    fn skipped(&self) -> Skipped {
        Skipped::default()
    }

    /// Returns the COCO JSON file of the annotations, if there is one, to evaluate against.
    fn annotation_file(&self) -> Option<&Path> {
        None
    }
}
