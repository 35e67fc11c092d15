//! Augmentation of training samples and preparation of evaluation samples.
//!
//! The chain is that of mmsegmentation: scale, crop, flip, photometric distortion. Every step takes
//! its randomness from the generator passed in, so a sample is a function of its seed. Samples
//! smaller than the crop stay smaller: the loader pads them on the right and at the bottom, after
//! normalisation, so that padding is exactly the mean colour and carries no label.

pub mod geometry;
pub mod photometric;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::dataset::SegmentationSample;
use crate::error::DataError;
use crate::labels::IGNORE;

pub use photometric::PhotometricConfig;

/// Attempts at a crop that no class dominates, as in mmsegmentation.
const CROP_ATTEMPTS: usize = 10;

/// The largest edge a configuration may ask for, in pixels.
const MAXIMUM_EDGE: u32 = 16_384;

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
    /// A crop is drawn again, at most ten times, while one class covers this share of its labelled
    /// pixels or more; 1 accepts every crop.
    pub crop_max_class_share: f32,
    /// Probability of a horizontal flip.
    pub flip_probability: f32,
    /// Random changes of colour.
    pub photometric: PhotometricConfig,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            crop_size: [512, 512],
            base_size: None,
            scale_range: [0.5, 2.0],
            crop_max_class_share: 0.75,
            flip_probability: 0.5,
            photometric: PhotometricConfig::default(),
        }
    }
}

impl AugmentConfig {
    /// No randomness but the position of the crop.
    pub fn crop_only(height: u32, width: u32) -> Self {
        Self {
            crop_size: [height, width],
            base_size: None,
            scale_range: [1.0, 1.0],
            crop_max_class_share: 1.0,
            flip_probability: 0.0,
            photometric: PhotometricConfig::disabled(),
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
        check_share("augment.crop_max_class_share", self.crop_max_class_share)?;
        if self.crop_max_class_share == 0.0 {
            return Err(invalid(
                "augment.crop_max_class_share",
                self.crop_max_class_share,
                "more than 0 and at most 1",
            ));
        }
        check_share("augment.flip_probability", self.flip_probability)?;
        self.photometric.validate()
    }

    /// Augments a sample; the result is at most as large as the crop.
    ///
    /// # Errors
    /// [`DataError::Resize`] for images too small or too large to be scaled.
    pub fn apply(
        &self,
        sample: SegmentationSample,
        rng: &mut impl Rng,
    ) -> Result<SegmentationSample, DataError> {
        let mut sample = self.scale(sample, rng)?;
        sample = self.crop(sample, rng);
        if rng.random::<f32>() < self.flip_probability {
            geometry::flip_horizontal(&mut sample);
        }
        self.photometric.apply(&mut sample.image, rng);
        Ok(sample)
    }

    fn scale(
        &self,
        sample: SegmentationSample,
        rng: &mut impl Rng,
    ) -> Result<SegmentationSample, DataError> {
        let [smallest, largest] = self.scale_range;
        let factor = f64::from(smallest + (largest - smallest) * rng.random::<f32>());
        let (width, height) = sample.image.dimensions();
        let base = self
            .base_size
            .map_or(1.0, |edges| fit(width, height, edges));
        let (target_width, target_height) = scaled(width, height, base * factor);
        geometry::resize(sample, target_width, target_height)
    }

    fn crop(&self, sample: SegmentationSample, rng: &mut impl Rng) -> SegmentationSample {
        let [height, width] = self.crop_size;
        let width = width.min(sample.labels.width);
        let height = height.min(sample.labels.height);
        if (width, height) == (sample.labels.width, sample.labels.height) {
            return sample;
        }
        let draw = |rng: &mut _| {
            let x = Rng::random_range(rng, 0..=sample.labels.width - width);
            let y = Rng::random_range(rng, 0..=sample.labels.height - height);
            (x, y)
        };
        let (mut x, mut y) = draw(rng);
        if self.crop_max_class_share < 1.0 {
            for _ in 0..CROP_ATTEMPTS {
                let share = geometry::largest_class_share(&sample.labels, x, y, width, height);
                if share.is_some_and(|share| share < self.crop_max_class_share) {
                    break;
                }
                (x, y) = draw(rng);
            }
        }
        geometry::crop(&sample, x, y, width, height)
    }
}

/// The size of evaluation images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EvaluationSize {
    /// Every image keeps its size.
    #[default]
    Original,
    /// Every image is stretched to this size.
    Fixed {
        /// Height in pixels.
        height: u32,
        /// Width in pixels.
        width: u32,
    },
    /// Every image is fitted into a long and a short edge, keeping its shape.
    Fit {
        /// Largest length of the long edge in pixels.
        long: u32,
        /// Largest length of the short edge in pixels.
        short: u32,
    },
}

impl EvaluationSize {
    /// Refuses sizes that make no sense.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`].
    pub fn validate(&self) -> Result<(), DataError> {
        match *self {
            Self::Original => Ok(()),
            Self::Fixed { height, width } => check_edges("evaluation.size.fixed", [height, width]),
            Self::Fit { long, short } => check_edges("evaluation.size.fit", [long, short]),
        }
    }

    /// Width and height that an image of `width` and `height` is resized to.
    pub fn target(&self, width: u32, height: u32) -> (u32, u32) {
        match *self {
            Self::Original => (width, height),
            Self::Fixed { height, width } => (width, height),
            Self::Fit { long, short } => scaled(width, height, fit(width, height, [long, short])),
        }
    }
}

/// The factor that fits an image into a long and a short edge.
pub(crate) fn fit(width: u32, height: u32, [first, second]: [u32; 2]) -> f64 {
    let (long, short) = (first.max(second), first.min(second));
    let by_long = f64::from(long) / f64::from(width.max(height).max(1));
    let by_short = f64::from(short) / f64::from(width.min(height).max(1));
    by_long.min(by_short)
}

/// Width and height times `factor`, rounded, at least one pixel.
pub(crate) fn scaled(width: u32, height: u32, factor: f64) -> (u32, u32) {
    let edge = |edge: u32| ((f64::from(edge) * factor + 0.5) as u32).max(1);
    (edge(width), edge(height))
}

pub(crate) fn invalid(
    key: &'static str,
    value: impl std::fmt::Debug,
    expected: impl Into<String>,
) -> DataError {
    DataError::InvalidValue {
        key,
        value: format!("{value:?}"),
        expected: expected.into(),
    }
}

pub(crate) fn check_edges(key: &'static str, edges: [u32; 2]) -> Result<(), DataError> {
    if edges.iter().all(|edge| (1..=MAXIMUM_EDGE).contains(edge)) {
        return Ok(());
    }
    let expected = format!("two lengths in pixels, from 1 to {MAXIMUM_EDGE}");
    Err(invalid(key, edges, expected))
}

pub(crate) fn check_range(
    key: &'static str,
    range: [f32; 2],
    smallest: f32,
    largest: f32,
) -> Result<(), DataError> {
    let [low, high] = range;
    // Written so that NaN fails.
    if low >= smallest && low <= high && high <= largest {
        return Ok(());
    }
    let expected = format!("[smallest, largest], in order, from {smallest} to {largest}");
    Err(invalid(key, range, expected))
}

pub(crate) fn check_share(key: &'static str, value: f32) -> Result<(), DataError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(invalid(key, value, "a share from 0 to 1"))
}

/// Whether a label takes part in class shares.
pub(crate) fn is_labelled(label: u8) -> bool {
    label != IGNORE
}
