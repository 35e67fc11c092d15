//! Augmentation of training samples and preparation of evaluation samples.
//!
//! The steps are those of mmdetection: resize, flip, photometric distortion; the batch pads. Boxes are
//! transformed with the image, masks are only flipped: see [`super::Mask`].

use std::sync::Arc;

use image::RgbImage;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::sample::{DetectionSample, Instance};
use crate::error::DataError;
use crate::input::{NetworkInput, check_stride};
use crate::movable::{Movable, flip, scale};
use crate::transform::geometry::resize_image;
use crate::transform::{PhotometricConfig, check_edges, check_share, invalid};

/// Boxes with a side below this number of pixels after all transforms are dropped from training, as in mmdetection.
const SHORTEST_SIDE: f32 = 1e-2;

const STRIDE_OF_TRAINING: &str = "augment.stride";
const STRIDE_OF_EVALUATION: &str = "evaluation.stride";

/// Augmentation of training samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectionAugmentConfig {
    /// Long and short edges that an image is resized to fit into, keeping its aspect ratio; one pair is drawn
    /// for every sample. The multi-scale recipe has long edges of 1333 and short edges from 480 to 800.
    pub scales: Vec<[u32; 2]>,
    /// Probability of a horizontal flip.
    pub flip_probability: f32,
    /// Batches are padded to multiples of this number of pixels, which must be a multiple of the network's
    /// stride. Default: the network's stride.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<u32>,
    /// Random changes of colour. Default: none.
    pub photometric: PhotometricConfig,
}

impl Default for DetectionAugmentConfig {
    fn default() -> Self {
        let DetectionSizeConfig { scale, stride } = DetectionSizeConfig::default();
        Self {
            scales: vec![scale],
            flip_probability: 0.5,
            stride,
            photometric: PhotometricConfig::disabled(),
        }
    }
}

/// The size of evaluation images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectionSizeConfig {
    /// Long and short edge that an image is resized to fit into, keeping its aspect ratio.
    pub scale: [u32; 2],
    /// Batches are padded to multiples of this number of pixels, which must be a multiple of the network's
    /// stride. Default: the network's stride.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<u32>,
}

impl Default for DetectionSizeConfig {
    fn default() -> Self {
        Self {
            scale: [1333, 800],
            stride: None,
        }
    }
}

/// A prepared sample, and its relation to the original image.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedSample {
    /// Identifier in the dataset.
    pub id: String,
    /// Image identifier in result files.
    pub image_id: u64,
    /// Colours, 0 to 255.
    pub image: RgbImage,
    /// Height and width before resizing.
    pub original: [usize; 2],
    /// Scale of height and width.
    pub scale: [f32; 2],
    /// The objects: boxes in pixels of `image`, masks in pixels of the original image, both flipped if it was.
    pub instances: Vec<Instance>,
}

impl DetectionAugmentConfig {
    /// Checks that all values are valid.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] with the key, its value and its range.
    pub fn validate(&self) -> Result<(), DataError> {
        if self.scales.is_empty() {
            let expected = "at least one pair of edges, such as [[1333, 800]]";
            return Err(invalid("augment.scales", &self.scales, expected));
        }
        for &scale in &self.scales {
            check_edges("augment.scales", scale)?;
        }
        check_share("augment.flip_probability", self.flip_probability)?;
        if let Some(stride) = self.stride {
            check_stride(STRIDE_OF_TRAINING, stride as usize)?;
        }
        self.photometric.validate()
    }

    /// Returns the padding and normalisation of batches for a network that expects `input`.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] if the stride is not a multiple of the network's.
    pub fn padded(&self, input: NetworkInput) -> Result<NetworkInput, DataError> {
        padded(STRIDE_OF_TRAINING, self.stride, input)
    }

    /// Augments a sample, and drops the objects that are no longer visible.
    ///
    /// # Errors
    /// [`DataError::Resize`] if the image cannot be resized.
    pub fn apply(
        &self,
        sample: DetectionSample,
        rng: &mut impl Rng,
    ) -> Result<PreparedSample, DataError> {
        let drawn = rng.random_range(0..self.scales.len().max(1));
        let edges = self.scales.get(drawn).copied();
        let edges = edges.unwrap_or(DetectionSizeConfig::default().scale);
        let mut sample = fitted(sample, edges)?;
        flip(&mut sample, self.flip_probability, rng);
        self.photometric.apply(&mut sample.image, rng);
        let is_left = |side: f32| side >= SHORTEST_SIDE;
        let instances = &mut sample.instances;
        instances.retain(|instance| is_left(instance.width()) && is_left(instance.height()));
        Ok(sample)
    }
}

impl DetectionSizeConfig {
    /// Checks that all values are valid.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] with the key, its value and its range.
    pub fn validate(&self) -> Result<(), DataError> {
        check_edges("evaluation.scale", self.scale)?;
        match self.stride {
            Some(stride) => check_stride(STRIDE_OF_EVALUATION, stride as usize),
            None => Ok(()),
        }
    }

    /// As [`DetectionAugmentConfig::padded`].
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] if the stride is not a multiple of the network's.
    pub fn padded(&self, input: NetworkInput) -> Result<NetworkInput, DataError> {
        padded(STRIDE_OF_EVALUATION, self.stride, input)
    }

    /// Resizes a sample; all objects are kept, even tiny ones.
    ///
    /// # Errors
    /// [`DataError::Resize`] if the image cannot be resized.
    pub fn apply(&self, sample: DetectionSample) -> Result<PreparedSample, DataError> {
        fitted(sample, self.scale)
    }
}

fn padded(
    key: &'static str,
    stride: Option<u32>,
    input: NetworkInput,
) -> Result<NetworkInput, DataError> {
    input.validate()?;
    let Some(stride) = stride else {
        return Ok(input);
    };
    if !(stride as usize).is_multiple_of(input.stride) {
        let expected = format!(
            "a multiple of {}, the stride of the coarsest map",
            input.stride
        );
        return Err(invalid(key, stride, expected));
    }
    Ok(NetworkInput {
        stride: stride as usize,
        ..input
    })
}

/// Resizes a sample to fit into a long and a short edge.
fn fitted(sample: DetectionSample, edges: [u32; 2]) -> Result<PreparedSample, DataError> {
    scale(PreparedSample::from(sample), Some(edges), 1.0)
}

impl From<DetectionSample> for PreparedSample {
    /// The sample without changes.
    fn from(sample: DetectionSample) -> Self {
        let (width, height) = sample.image.dimensions();
        Self {
            id: sample.id,
            image_id: sample.image_id,
            image: sample.image,
            original: [height as usize, width as usize],
            scale: [1.0; 2],
            instances: sample.instances,
        }
    }
}

impl Movable for PreparedSample {
    fn size(&self) -> (u32, u32) {
        self.image.dimensions()
    }

    /// Resizes the image and its boxes, but not the masks.
    fn resize(self, width: u32, height: u32) -> Result<Self, DataError> {
        let (old_width, old_height) = self.image.dimensions();
        let image = resize_image(&self.id, self.image, width, height)?;
        // Each axis has its own factor, as both sides were rounded.
        let ratio = |new: u32, old: u32| (f64::from(new) / f64::from(old.max(1))) as f32;
        let [down, across] = [ratio(height, old_height), ratio(width, old_width)];
        let mut instances = self.instances;
        for instance in &mut instances {
            let [left, top, right, bottom] = instance.bounds;
            let x = |x: f32| (x * across).clamp(0.0, width as f32);
            let y = |y: f32| (y * down).clamp(0.0, height as f32);
            instance.bounds = [x(left), y(top), x(right), y(bottom)];
        }
        Ok(Self {
            image,
            scale: [self.scale[0] * down, self.scale[1] * across],
            instances,
            ..self
        })
    }

    /// Flips image, boxes and masks.
    fn flip_horizontal(&mut self) {
        image::imageops::flip_horizontal_in_place(&mut self.image);
        let width = self.image.width() as f32;
        for instance in &mut self.instances {
            let [left, top, right, bottom] = instance.bounds;
            instance.bounds = [width - right, top, width - left, bottom];
            if let Some(mask) = &mut instance.mask {
                *mask = Arc::new(mask.flipped());
            }
        }
    }
}
