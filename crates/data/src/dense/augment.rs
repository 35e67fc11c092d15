//! Augmentation of training samples.
//!
//! The chain is that of mmsegmentation: scale, crop, flip, photometric distortion, with a rotation before the
//! crop where one is asked for. Every step takes its randomness from the generator passed in, so a sample
//! is a function of its seed. Samples smaller than the crop stay smaller: the loader pads them on the right
//! and at the bottom, after normalisation, so that padding is exactly the mean colour and carries no label.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::sample::DenseSample;
use crate::error::DataError;
use crate::labels::{DenseTask, IGNORE, LabelMap};
use crate::movable::{flip, scale};
use crate::normalize::Normalization;
use crate::plane::rows;
use crate::transform::{PhotometricConfig, check_edges, check_range, check_share, invalid};

/// Attempts at a crop that no class dominates, as in mmsegmentation.
const CROP_ATTEMPTS: usize = 10;

/// The largest share of a class in a crop where nothing else is trained than the classes, as in
/// mmsegmentation.
const CLASS_SHARE: f32 = 0.75;

/// Augmentation of training samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Height and width of the crop, and of every training batch, in pixels.
    pub crop_size: [u32; 2],
    /// The long and the short edge that an image is first fitted into, keeping its shape; its own
    /// size if not given. The ADE20K recipe is `[2048, 512]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_size: Option<[u32; 2]>,
    /// Smallest and largest factor of the random scale.
    pub scale_range: [f32; 2],
    /// Smallest and largest angle of the random rotation about the centre, in degrees, positive
    /// against the clock; no rotation if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_range: Option<[f32; 2]>,
    /// Red, green and blue of what a rotation moves in from outside of the image.
    pub fill_color: [u8; 3],
    /// A crop is drawn again, at most ten times, while one class of semantic segmentation covers this
    /// share of its labelled pixels or more; 1 accepts every crop. If not given, 0.75 where semantic
    /// segmentation is the only task, else 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop_max_class_share: Option<f32>,
    /// Probability of a horizontal flip.
    pub flip_probability: f32,
    /// Whether the random scale divides depth, as in the recipes of NYUD: what is larger is nearer.
    pub scale_depth: bool,
    /// Random changes of colour.
    pub photometric: PhotometricConfig,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            crop_size: [512, 512],
            base_size: None,
            scale_range: [0.5, 2.0],
            rotation_range: None,
            fill_color: Normalization::IMAGENET.mean_color(),
            crop_max_class_share: None,
            flip_probability: 0.5,
            scale_depth: true,
            photometric: PhotometricConfig::default(),
        }
    }
}

impl AugmentConfig {
    /// No randomness but the position of the crop.
    pub fn crop_only(height: u32, width: u32) -> Self {
        Self {
            crop_size: [height, width],
            scale_range: [1.0, 1.0],
            crop_max_class_share: Some(1.0),
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
        if let Some(range) = self.rotation_range {
            check_range("augment.rotation_range", range, -180.0, 180.0)?;
        }
        if let Some(share) = self.crop_max_class_share {
            check_share(CROP_KEY, share)?;
            if share == 0.0 {
                return Err(invalid(CROP_KEY, share, "more than 0 and at most 1"));
            }
        }
        check_share("augment.flip_probability", self.flip_probability)?;
        self.photometric.validate()
    }

    /// Refuses a limit of the share of a class where semantic segmentation is none of the tasks.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`].
    pub fn require_classes(&self, tasks: &[DenseTask]) -> Result<(), DataError> {
        match self.crop_max_class_share {
            Some(share) if share < 1.0 && !tasks.contains(&DenseTask::SemanticSegmentation) => {
                let expected = "1, or `semantic_segmentation` among the tasks";
                Err(invalid(CROP_KEY, share, expected))
            }
            _ => Ok(()),
        }
    }

    /// Augments a sample; the result is at most as large as the crop.
    ///
    /// # Errors
    /// [`DataError::Resize`] for images too small or too large to be scaled.
    pub fn apply(&self, sample: DenseSample, rng: &mut impl Rng) -> Result<DenseSample, DataError> {
        let mut sample = self.scale(sample, rng)?;
        if let Some(range) = self.rotation_range {
            let angle = draw(range, rng);
            if angle != 0.0 {
                sample = sample.rotate(angle, self.fill_color);
            }
        }
        sample = self.crop(sample, rng);
        flip(&mut sample, self.flip_probability, rng);
        self.photometric.apply(&mut sample.image, rng);
        Ok(sample)
    }

    fn scale(&self, sample: DenseSample, rng: &mut impl Rng) -> Result<DenseSample, DataError> {
        let factor = draw(self.scale_range, rng);
        let mut sample = scale(sample, self.base_size, f64::from(factor))?;
        // Fitting is no zoom: it happens to evaluation images too, whose depth stays.
        if self.scale_depth {
            for labels in sample.labels.values_mut() {
                labels.zoom(factor);
            }
        }
        Ok(sample)
    }

    fn crop(&self, sample: DenseSample, rng: &mut impl Rng) -> DenseSample {
        let [height, width] = self.crop_size;
        let (whole_width, whole_height) = sample.image.dimensions();
        let (width, height) = (width.min(whole_width), height.min(whole_height));
        if (width, height) == (whole_width, whole_height) {
            return sample;
        }
        let draw = |rng: &mut _| {
            let x = Rng::random_range(rng, 0..=whole_width - width);
            let y = Rng::random_range(rng, 0..=whole_height - height);
            (x, y)
        };
        let (mut x, mut y) = draw(rng);
        let limit = self.class_share(&sample);
        let classes = sample.class_map(DenseTask::SemanticSegmentation);
        if let Some(classes) = classes.filter(|_| limit < 1.0) {
            for _ in 0..CROP_ATTEMPTS {
                let share = largest_class_share(classes, [x, y], (width, height));
                if share.is_some_and(|share| share < limit) {
                    break;
                }
                (x, y) = draw(rng);
            }
        }
        sample.crop(x, y, width, height)
    }

    /// The share from which on a class dominates a crop of a sample.
    fn class_share(&self, sample: &DenseSample) -> f32 {
        let is_alone = sample.labels.len() == 1;
        let usual = if is_alone { CLASS_SHARE } else { 1.0 };
        self.crop_max_class_share.unwrap_or(usual)
    }
}

const CROP_KEY: &str = "augment.crop_max_class_share";

fn draw([smallest, largest]: [f32; 2], rng: &mut impl Rng) -> f32 {
    smallest + (largest - smallest) * rng.random::<f32>()
}

/// The share of the most frequent class among the labelled pixels of a window, or none if fewer
/// than two classes occur there.
fn largest_class_share(labels: &LabelMap, start: [u32; 2], size: (u32, u32)) -> Option<f32> {
    let mut counts = [0u64; 256];
    for row in rows(&labels.data, labels.width, start, size) {
        for &label in row {
            counts[usize::from(label)] += 1;
        }
    }
    let counted = (0..=u8::MAX)
        .filter(|&label| label != IGNORE)
        .map(|label| counts[usize::from(label)])
        .filter(|&count| count > 0);
    let (mut classes, mut total, mut largest) = (0, 0u64, 0u64);
    for count in counted {
        classes += 1;
        total += count;
        largest = largest.max(count);
    }
    (classes > 1).then(|| (largest as f64 / total as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_share_leaves_out_ignored_pixels() {
        let labels = LabelMap {
            width: 4,
            height: 2,
            data: vec![0, 0, 1, IGNORE, 0, IGNORE, IGNORE, IGNORE],
        };
        assert_eq!(largest_class_share(&labels, [0, 0], (4, 2)), Some(0.75));
        assert_eq!(largest_class_share(&labels, [2, 0], (2, 2)), None);
        assert_eq!(largest_class_share(&labels, [3, 0], (1, 2)), None);
    }
}
