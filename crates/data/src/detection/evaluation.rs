//! How pictures are prepared that a network is measured on, or predicts.

use super::batch::DetectionBatch;
use super::sample::DetectionSample;
use super::transform::{DetectionSizeConfig, PreparedSample};
use crate::error::DataError;
use crate::input::NetworkInput;
use crate::picture::Picture;

/// How pictures are prepared that a network is measured on, or predicts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectionEvaluation {
    size: DetectionSizeConfig,
    input: NetworkInput,
}

impl DetectionEvaluation {
    /// Pictures of `size` for a network that expects `input`.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`]: values that make no sense.
    pub fn new(size: DetectionSizeConfig, input: NetworkInput) -> Result<Self, DataError> {
        size.validate()?;
        let input = size.padded(input)?;
        Ok(Self { size, input })
    }

    /// Resizes a sample.
    ///
    /// # Errors
    /// [`DataError::Resize`].
    pub fn prepare(&self, sample: DetectionSample) -> Result<PreparedSample, DataError> {
        self.size.apply(sample)
    }

    /// A picture alone in a batch.
    ///
    /// # Errors
    /// [`DataError::Resize`].
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

    /// Puts prepared samples side by side.
    pub fn batch(&self, samples: Vec<PreparedSample>) -> DetectionBatch {
        DetectionBatch::new(samples, &self.input)
    }
}
