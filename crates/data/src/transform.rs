//! Transforms of samples of every task: geometry, colour and sizes, and the ranges of their keys.

pub mod geometry;
pub mod photometric;
pub mod slide;

use serde::{Deserialize, Serialize};

use crate::error::DataError;

pub use photometric::PhotometricConfig;
pub use slide::{SlideConfig, Window};

/// Maximum edge in a configuration, in pixels.
const MAXIMUM_EDGE: u32 = 16_384;

/// The size of evaluation images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EvaluationSize {
    /// Every image keeps its size.
    #[default]
    Original,
    /// Every image is resized to this size, without keeping its aspect ratio.
    Fixed {
        /// Height in pixels.
        height: u32,
        /// Width in pixels.
        width: u32,
    },
    /// Every image is resized to fit into a long and a short edge, keeping its aspect ratio.
    Fit {
        /// Maximum length of the long edge in pixels.
        long: u32,
        /// Maximum length of the short edge in pixels.
        short: u32,
    },
    /// The network is given windows of every image, one beside the other.
    Slide(SlideConfig),
}

impl EvaluationSize {
    /// Checks that the sizes are valid.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] for the first invalid size.
    pub fn validate(&self) -> Result<(), DataError> {
        match *self {
            Self::Original => Ok(()),
            Self::Fixed { height, width } => check_edges("evaluation.size.fixed", [height, width]),
            Self::Fit { long, short } => check_edges("evaluation.size.fit", [long, short]),
            Self::Slide(slide) => slide.validate(),
        }
    }

    /// Returns the width and height that an image of `width` and `height` is resized to at a scale, which
    /// multiplies both.
    pub fn target(&self, width: u32, height: u32, scale: f64) -> (u32, u32) {
        let fitted = |edges| fit(width, height, edges);
        let (width, height, factor) = match *self {
            Self::Original => (width, height, 1.0),
            Self::Fixed { height, width } => (width, height, 1.0),
            Self::Fit { long, short } => (width, height, fitted([long, short])),
            Self::Slide(slide) => (width, height, slide.base_size.map_or(1.0, fitted)),
        };
        scaled(width, height, factor * scale)
    }

    /// The windows of an image that was resized to this height and width, row by row; one if it is seen whole.
    pub fn windows(&self, size: [usize; 2]) -> Vec<Window> {
        match self {
            Self::Original | Self::Fixed { .. } | Self::Fit { .. } => vec![Window::whole(size)],
            Self::Slide(slide) => slide.windows(size),
        }
    }
}

/// Returns the factor that resizes an image to fit into a long and a short edge.
pub(crate) fn fit(width: u32, height: u32, [first, second]: [u32; 2]) -> f64 {
    let (long, short) = (first.max(second), first.min(second));
    let by_long = f64::from(long) / f64::from(width.max(height).max(1));
    let by_short = f64::from(short) / f64::from(width.min(height).max(1));
    by_long.min(by_short)
}

/// Returns width and height times `factor`, rounded, and at least one pixel.
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
