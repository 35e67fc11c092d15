//! Preparation of images for evaluation and prediction.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use image::RgbImage;

use super::batch::{DenseBatch, DenseTarget};
use crate::batch::Prepared;
use crate::error::DataError;
use crate::input::NetworkInput;
use crate::labels::{DenseLabels, DenseTask};
use crate::picture::Picture;
use crate::transform::geometry::resize_image;
use crate::transform::{EvaluationSize, invalid};

/// Preparation of images for evaluation and prediction.
///
/// The image is resized, and its labels are not: predictions are brought back to the size of the image as
/// it was read, and compared there, as in mmsegmentation.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseEvaluation {
    /// The size that images are resized to.
    pub size: EvaluationSize,
    /// Factors of that size: every image is prepared at each of them.
    pub scales: Vec<f64>,
    /// What the network expects of them.
    pub input: NetworkInput,
}

/// Smallest and largest scale.
const SCALES: RangeInclusive<f64> = 0.01..=100.0;

impl DenseEvaluation {
    /// Images of one size, each prepared once.
    pub fn new(size: EvaluationSize, input: NetworkInput) -> Self {
        Self {
            size,
            scales: vec![1.0],
            input,
        }
    }

    /// Refuses values that make no sense.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`].
    pub fn validate(&self) -> Result<(), DataError> {
        self.size.validate()?;
        // Written so that NaN fails.
        let are_valid = self.scales.iter().all(|scale| SCALES.contains(scale));
        if self.scales.is_empty() || !are_valid {
            let (low, high) = (SCALES.start(), SCALES.end());
            let expected = format!("a list of one or more factors, each from {low} to {high}");
            return Err(invalid("evaluation.scales", &self.scales, expected));
        }
        self.input.validate()?;
        match self.size {
            EvaluationSize::Slide(slide) => slide.require_stride(self.input.stride),
            _ => Ok(()),
        }
    }

    /// An image with what is known of it, resized, at every scale. The labels are beside the first.
    ///
    /// # Errors
    /// [`DataError::Resize`].
    pub fn prepare(
        &self,
        id: String,
        image: RgbImage,
        mut labels: BTreeMap<DenseTask, DenseLabels>,
    ) -> Result<Vec<Prepared<DenseTarget>>, DataError> {
        let (original_width, original_height) = image.dimensions();
        let mut at = |image, scale| -> Result<Prepared<DenseTarget>, DataError> {
            let (width, height) = self.size.target(original_width, original_height, scale);
            let image = resize_image(&id, image, width, height)?;
            let item = DenseTarget {
                id: id.clone(),
                size: [height as usize, width as usize],
                original: [original_height as usize, original_width as usize],
                labels: std::mem::take(&mut labels),
            };
            Ok(Prepared { image, item })
        };
        let Some((&last, others)) = self.scales.split_last() else {
            return Ok(Vec::new());
        };
        let mut pictures = Vec::with_capacity(self.scales.len());
        for &scale in others {
            pictures.push(at(image.clone(), scale)?);
        }
        pictures.push(at(image, last)?);
        Ok(pictures)
    }

    /// A picture alone in a batch.
    ///
    /// # Errors
    /// [`DataError::Resize`].
    pub fn picture(&self, picture: Picture) -> Result<DenseBatch, DataError> {
        let prepared = self.prepare(picture.id, picture.image, BTreeMap::new())?;
        Ok(self.batch(vec![prepared]))
    }

    /// Puts prepared pictures side by side, each with what [`prepare`](Self::prepare) made of it.
    pub fn batch(&self, pictures: Vec<Vec<Prepared<DenseTarget>>>) -> DenseBatch {
        let mut scales: Vec<Vec<Prepared<DenseTarget>>> = Vec::new();
        scales.resize_with(self.scales.len(), Vec::new);
        for picture in pictures {
            for (scale, prepared) in scales.iter_mut().zip(picture) {
                scale.push(prepared);
            }
        }
        let mut scales = scales.into_iter();
        let first = DenseBatch::padded(scales.next().unwrap_or_default(), &self.input);
        DenseBatch {
            scaled: scales
                .map(|pictures| DenseBatch::padded(pictures, &self.input))
                .collect(),
            ..first
        }
    }
}
