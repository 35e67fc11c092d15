//! Augmentation of training samples.
//!
//! The chain is scale, rotate, crop, flip, photometric distortion. Every step takes its randomness
//! from the generator passed in, so a sample is a function of its seed. Samples smaller than the crop
//! stay smaller: the loader pads them, and no task trains on the padding.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{MultiTaskSample, geometry};
use crate::error::DataError;
use crate::labels::DenseLabels;
use crate::normalize::Normalization;
use crate::transform::{PhotometricConfig, check_edges, check_range, check_share, fit, scaled};

/// Augmentation of training samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiTaskAugmentConfig {
    /// Height and width of the crop, and of every training batch, in pixels.
    pub crop_size: [u32; 2],
    /// The long and the short edge that an image is first fitted into, keeping its shape; its own
    /// size if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_size: Option<[u32; 2]>,
    /// Smallest and largest factor of the random scale.
    pub scale_range: [f32; 2],
    /// Smallest and largest angle of the random rotation about the centre, in degrees, positive
    /// against the clock.
    pub rotation_range: [f32; 2],
    /// Red, green and blue of what a rotation moves in from outside of the image.
    pub fill_color: [u8; 3],
    /// Probability of a horizontal flip.
    pub flip_probability: f32,
    /// Whether the random scale divides depth, as in the recipes of NYUD: what is larger is nearer.
    pub scale_depth: bool,
    /// Random changes of colour.
    pub photometric: PhotometricConfig,
}

impl Default for MultiTaskAugmentConfig {
    fn default() -> Self {
        Self {
            crop_size: [512, 512],
            base_size: None,
            scale_range: [0.5, 2.0],
            rotation_range: [0.0, 0.0],
            fill_color: Normalization::IMAGENET.mean_color(),
            flip_probability: 0.5,
            scale_depth: true,
            photometric: PhotometricConfig::default(),
        }
    }
}

impl MultiTaskAugmentConfig {
    /// No randomness but the position of the crop.
    pub fn crop_only(height: u32, width: u32) -> Self {
        Self {
            crop_size: [height, width],
            scale_range: [1.0, 1.0],
            flip_probability: 0.0,
            photometric: PhotometricConfig::disabled(),
            ..Self::default()
        }
    }

    /// Refuses values that make no sense.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] with the key, its value and its range.
    pub fn validate(&self) -> Result<(), DataError> {
        check_edges("augment.crop_size", self.crop_size)?;
        if let Some(edges) = self.base_size {
            check_edges("augment.base_size", edges)?;
        }
        check_range("augment.scale_range", self.scale_range, 0.01, 100.0)?;
        check_range("augment.rotation_range", self.rotation_range, -180.0, 180.0)?;
        check_share("augment.flip_probability", self.flip_probability)?;
        self.photometric.validate()
    }

    /// Augments a sample; the result is at most as large as the crop.
    ///
    /// # Errors
    /// [`DataError::Resize`] for images too small or too large to be scaled.
    pub fn apply(
        &self,
        sample: MultiTaskSample,
        rng: &mut impl Rng,
    ) -> Result<MultiTaskSample, DataError> {
        let mut sample = self.scale(sample, rng)?;
        let angle = draw(self.rotation_range, rng);
        if angle != 0.0 {
            sample = geometry::rotate(&sample, angle, self.fill_color);
        }
        sample = self.crop(sample, rng);
        if rng.random::<f32>() < self.flip_probability {
            geometry::flip_horizontal(&mut sample);
        }
        self.photometric.apply(&mut sample.image, rng);
        Ok(sample)
    }

    fn scale(
        &self,
        sample: MultiTaskSample,
        rng: &mut impl Rng,
    ) -> Result<MultiTaskSample, DataError> {
        let factor = draw(self.scale_range, rng);
        let (width, height) = sample.image.dimensions();
        let base = self.base_size;
        let base = base.map_or(1.0, |edges| fit(width, height, edges));
        let (width, height) = scaled(width, height, base * f64::from(factor));
        let mut sample = geometry::resize(sample, width, height)?;
        // Fitting is no zoom: it happens to evaluation images too, whose depth stays.
        if self.scale_depth {
            for labels in sample.labels.values_mut() {
                if let DenseLabels::Depth(map) = labels {
                    map.data.iter_mut().for_each(|depth| *depth /= factor);
                }
            }
        }
        Ok(sample)
    }

    fn crop(&self, sample: MultiTaskSample, rng: &mut impl Rng) -> MultiTaskSample {
        let [height, width] = self.crop_size;
        let (whole_width, whole_height) = sample.image.dimensions();
        let (width, height) = (width.min(whole_width), height.min(whole_height));
        if (width, height) == (whole_width, whole_height) {
            return sample;
        }
        let x = rng.random_range(0..=whole_width - width);
        let y = rng.random_range(0..=whole_height - height);
        geometry::crop(&sample, x, y, width, height)
    }
}

fn draw([smallest, largest]: [f32; 2], rng: &mut impl Rng) -> f32 {
    smallest + (largest - smallest) * rng.random::<f32>()
}
