//! Preparation of images for evaluation and prediction.

use super::batch::DetectionBatch;
use super::sample::DetectionSample;
use super::transform::{DetectionSizeConfig, PreparedSample};
use crate::error::DataError;
use crate::input::NetworkInput;
use crate::picture::Picture;

/// Preparation of images for evaluation and prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectionEvaluation {
    size: DetectionSizeConfig,
    input: NetworkInput,
}

impl DetectionEvaluation {
    /// Prepares images of `size` for a network that expects `input`.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] if a value is invalid.
    pub fn new(size: DetectionSizeConfig, input: NetworkInput) -> Result<Self, DataError> {
        size.validate()?;
        let input = size.padded(input)?;
        Ok(Self { size, input })
    }

    /// Resizes a sample.
    ///
    /// # Errors
    /// [`DataError::Resize`] if the sample cannot be resized.
    pub fn prepare(&self, sample: DetectionSample) -> Result<PreparedSample, DataError> {
        self.size.apply(sample)
    }

    /// Returns a batch of a single image.
    ///
    /// # Errors
    /// [`DataError::Resize`] if the image cannot be resized.
    pub fn picture(&self, picture: Picture) -> Result<DetectionBatch, DataError> {
        let Picture {
            id,
            image_id,
            image,
        } = picture;
        let prepared = self.prepare(DetectionSample {
            id,
            image_id,
            image,
            instances: Vec::new(),
        })?;
        Ok(self.batch(vec![prepared]))
    }

    /// Creates a batch of prepared samples.
    pub fn batch(&self, samples: Vec<PreparedSample>) -> DetectionBatch {
        DetectionBatch::new(samples, &self.input)
    }
}
