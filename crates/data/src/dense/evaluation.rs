//! Preparation of images for evaluation and prediction.

use std::collections::BTreeMap;

use image::RgbImage;

use super::batch::{DenseBatch, DenseTarget};
use crate::batch::Prepared;
use crate::error::DataError;
use crate::input::NetworkInput;
use crate::labels::{DenseLabels, DenseTask};
use crate::picture::Picture;
use crate::transform::EvaluationSize;
use crate::transform::geometry::resize_image;

/// Preparation of images for evaluation and prediction.
///
/// The image is resized, and its labels are not: predictions are brought back to the size of the image as
/// it was read, and compared there, as in mmsegmentation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenseEvaluation {
    /// The size that images are resized to.
    pub size: EvaluationSize,
    /// What the network expects of them.
    pub input: NetworkInput,
}

impl DenseEvaluation {
    /// Refuses values that make no sense.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`].
    pub fn validate(&self) -> Result<(), DataError> {
        self.size.validate()?;
        self.input.validate()
    }

    /// An image with what is known of it, resized.
    ///
    /// # Errors
    /// [`DataError::Resize`].
    pub fn prepare(
        &self,
        id: String,
        image: RgbImage,
        labels: BTreeMap<DenseTask, DenseLabels>,
    ) -> Result<Prepared<DenseTarget>, DataError> {
        let (original_width, original_height) = image.dimensions();
        let (width, height) = self.size.target(original_width, original_height);
        let image = resize_image(&id, image, width, height)?;
        let item = DenseTarget {
            id,
            size: [height as usize, width as usize],
            original: [original_height as usize, original_width as usize],
            labels,
        };
        Ok(Prepared { image, item })
    }

    /// A picture alone in a batch.
    ///
    /// # Errors
    /// [`DataError::Resize`].
    pub fn picture(&self, picture: Picture) -> Result<DenseBatch, DataError> {
        let prepared = self.prepare(picture.id, picture.image, BTreeMap::new())?;
        Ok(self.batch(vec![prepared]))
    }

    /// Puts prepared pictures side by side.
    pub fn batch(&self, pictures: Vec<Prepared<DenseTarget>>) -> DenseBatch {
        DenseBatch::padded(pictures, &self.input)
    }
}
