//! The descriptions and settings of heads.

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
    /// Checks the fields for an encoder with `stages` stages.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    fn validate(&self, stages: usize) -> Result<(), String>;

    /// Whether it reads a stage of the backbone, counted from the finest.
    fn reads(&self, _stage: usize) -> bool {
        true
    }

    /// Returns its auxiliary decoder, if it has one.
    fn auxiliary(&self) -> Option<Auxiliary> {
        None
    }

    /// Returns the stage with the coarsest resolution at which the head has a batch norm; `None` for a head
    /// that pools a map to a single position.
    fn coarsest_norm(&self) -> Option<usize> {
        Some(0)
    }
}

/// An auxiliary decoder on one stage, used only in training: an [`Fcn`](crate::fcn::Fcn).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Auxiliary {
    /// The stage it reads.
    pub stage: usize,
    /// Number of channels of its convolution.
    pub channels: usize,
    /// Probability of dropping a channel before the classifier.
    pub dropout: f64,
    /// Weight of its loss.
    pub weight: f64,
}

/// Maximum width of a head. Far larger values are mistakes, and must be rejected before their memory is allocated.
pub(crate) const MOST: usize = 1 << 14;

/// Checks that a width or number is not zero and not too large.
pub(crate) fn in_range(field: &str, value: usize) -> Result<(), String> {
    match value {
        0 => Err(format!("head.{field} = 0; it must be at least 1")),
        1..=MOST => Ok(()),
        _ => Err(format!("head.{field} = {value}; it must be at most {MOST}")),
    }
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
