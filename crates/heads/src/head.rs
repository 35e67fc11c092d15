//! The descriptions and settings of heads.

use crate::maps::MapShape;
use crate::neck::NeckConfig;
use crate::range;

/// The task of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadTask {
    /// Semantic segmentation.
    Segmentation,
    /// Object detection.
    Detection,
}

impl HeadTask {
    /// Returns `segmentation` or `detection`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segmentation => "segmentation",
            Self::Detection => "detection",
        }
    }
}

/// The description of a head in the table.
#[derive(Debug, Clone)]
pub struct HeadDescriptor {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// Its task.
    pub task: HeadTask,
    /// Description in one line.
    pub summary: &'static str,
    /// The publication.
    pub source: &'static str,
}

/// The configuration of a decoder.
pub trait HeadSettings {
    /// Checks the fields for maps of these shapes, the finest first. Their channels are those of the backbone,
    /// which a method may change.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    fn validate(&self, maps: &[MapShape]) -> Result<(), String>;

    /// Whether it reads a map of so many, counted from the finest.
    fn reads(&self, _map: usize, _maps: usize) -> bool {
        true
    }

    /// Returns the neck that it stands on if all stages of the backbone have one stride.
    fn neck(&self) -> NeckConfig {
        NeckConfig::default()
    }

    /// Returns its auxiliary decoder, if it has one.
    fn auxiliary(&self) -> Option<Auxiliary> {
        None
    }

    /// Returns the coarsest stride at which the head has a batch norm; `None` for a head that pools a map to a
    /// single position.
    fn coarsest_norm(&self, maps: &[MapShape]) -> Option<f32> {
        maps.first().map(|map| map.stride)
    }

    /// Returns the stride of the coarsest map that it reads or makes.
    fn coarsest_stride(&self, maps: &[MapShape]) -> f32 {
        MapShape::coarsest_stride(maps)
    }
}

/// An auxiliary decoder on one map, used only in training: an [`Fcn`](crate::fcn::Fcn).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Auxiliary {
    /// The map it reads.
    pub stage: usize,
    /// Number of channels of its convolution.
    pub channels: usize,
    /// Probability of dropping a channel before the classifier.
    pub dropout: f64,
    /// Weight of its loss.
    pub weight: f64,
}

/// Checks that a width or number is not zero and not too large.
pub(crate) fn in_range(field: &str, value: usize) -> Result<(), String> {
    range::check(&format!("head.{field}"), value)
}

/// Checks that a dropout probability is in [0, 1).
pub(crate) fn drop_rate(field: &str, value: f64) -> Result<(), String> {
    match (0.0..1.0).contains(&value) {
        true => Ok(()),
        false => Err(format!("head.{field} = {value}; it must be in 0..1")),
    }
}

/// Checks that a field is a positive number.
pub(crate) fn positive(field: &str, value: f64) -> Result<(), String> {
    match value > 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err(format!("head.{field} = {value}; it must be positive")),
    }
}
