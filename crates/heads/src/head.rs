//! What every head says of itself.

/// What a head predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadTask {
    /// The class of every pixel.
    Segmentation,
    /// Objects.
    Detection,
}

impl HeadTask {
    /// `segmentation` or `detection`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segmentation => "segmentation",
            Self::Detection => "detection",
        }
    }
}

/// What the table says of a head.
#[derive(Debug, Clone)]
pub struct HeadDescriptor {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// What it predicts.
    pub task: HeadTask,
    /// What it is, in a line.
    pub summary: &'static str,
    /// Where it was published.
    pub source: &'static str,
}

/// What the configuration of a decoder says beside its fields.
pub trait HeadSettings {
    /// What is wrong with the fields for an encoder of `stages` stages, if anything: the key and why.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and its value.
    fn validate(&self, stages: usize) -> Result<(), String>;

    /// Whether it reads a stage of the backbone, counted from the finest.
    fn reads(&self, _stage: usize) -> bool {
        true
    }

    /// The decoder that helps it in training, if it has one.
    fn auxiliary(&self) -> Option<Auxiliary> {
        None
    }

    /// The stage at whose resolution its batch norms are in training, at the coarsest; none of a head that pools
    /// a map to a single position.
    fn coarsest_norm(&self) -> Option<usize> {
        Some(0)
    }
}

/// A decoder on one stage that is trained beside another and predicts nothing: an [`Fcn`](crate::fcn::Fcn).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Auxiliary {
    /// Stage it reads.
    pub stage: usize,
    /// Width of its convolution.
    pub channels: usize,
    /// Probability of dropping a channel before the classifier.
    pub dropout: f64,
    /// Weight of its loss.
    pub weight: f64,
}

/// The largest width of a head: what goes far beyond any backbone is a slip, and its memory is asked for before
/// anybody could say so.
pub(crate) const MOST: usize = 1 << 14;

/// Refuses a width or number that is zero, or far too large.
pub(crate) fn in_range(field: &str, value: usize) -> Result<(), String> {
    match value {
        0 => Err(format!("head.{field} = 0; it must be at least 1")),
        1..=MOST => Ok(()),
        _ => Err(format!("head.{field} = {value}; it must be at most {MOST}")),
    }
}

/// Refuses a probability at which everything is dropped, and what is none.
pub(crate) fn drop_rate(field: &str, value: f64) -> Result<(), String> {
    match (0.0..1.0).contains(&value) {
        true => Ok(()),
        false => Err(format!("head.{field} = {value}; it must be in 0..1")),
    }
}

/// Refuses a field that is no positive number.
pub(crate) fn positive(field: &str, value: f64) -> Result<(), String> {
    match value > 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err(format!("head.{field} = {value}; it must be positive")),
    }
}
