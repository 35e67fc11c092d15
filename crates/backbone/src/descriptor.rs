//! The description of a named backbone.

use crate::description::StageShape;
use crate::pretrained::Pretrained;

/// A named variant of a backbone, of the table or of another crate.
#[derive(Debug, Clone, PartialEq)]
pub struct BackboneDescriptor {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// Description in one line.
    pub summary: &'static str,
    /// Mean of the training images' channels, in 0..255.
    pub mean: [f32; 3],
    /// Standard deviation of the training images' channels, in 0..255.
    pub std: [f32; 3],
    /// The stages, the finest first.
    pub stages: Vec<StageShape>,
    /// The canonical weight file; `None` if there is none.
    pub pretrained: Option<Pretrained>,
}

impl BackboneDescriptor {
    /// Returns the number of input pixels per position of the coarsest map along one side; see
    /// [`Description::coarsest_stride`](crate::Description::coarsest_stride).
    pub fn coarsest_stride(&self) -> usize {
        let strides = self.stages.iter().map(|stage| stage.stride);
        strides.max().unwrap_or(1)
    }
}
