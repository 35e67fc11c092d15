//! What the file of a family of backbones declares for the table.

use burn::tensor::backend::Backend;

use crate::config::BackboneConfig;
use crate::description::StageShape;

/// What images were normalised with when a backbone was trained, in 0..255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Statistics {
    /// Mean of red, green and blue.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue.
    pub std: [f32; 3],
}

impl Statistics {
    /// Of ImageNet.
    pub(crate) const IMAGENET: Self = Self {
        mean: [123.675, 116.28, 103.53],
        std: [58.395, 57.12, 57.375],
    };
}

/// A variant under its name.
#[derive(Debug)]
pub(crate) struct Named<V> {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// What its images are normalised with.
    pub statistics: Statistics,
    /// What it is made from.
    pub variant: V,
}

/// What tells the variants of a family apart.
pub(crate) trait Variant: 'static {
    /// The module of the family.
    type Backbone<B: Backend>;

    /// Its stages, the finest first.
    fn stages(&self) -> Vec<StageShape>;

    /// The backbone with random weights.
    fn init<B: Backend>(&self, config: &BackboneConfig, device: &B::Device) -> Self::Backbone<B>;
}
