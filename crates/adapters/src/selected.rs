//! A partly trained backbone and its output norms: the module of every method that adds no parameters.

use burn::module::Module;
use burn::tensor::backend::Backend;
use gradway_backbone::{AnyBackbone, BatchStatistics, OutputNorms, ParameterPath, Tunable};
use gradway_kernels::KernelBackend;

use crate::track::{track, track_backbone};

/// The module of a method that trains some parameters of the backbone and output norms.
#[derive(Module, Debug)]
pub struct Selected<B: Backend, N: Module<B> = AnyBackbone<B>> {
    /// The backbone, partly trained.
    pub backbone: N,
    /// The output norms, partly trained.
    pub norms: OutputNorms<B>,
}

impl<B: KernelBackend, N: Tunable<B>> Selected<B, N> {
    /// Creates the module with new output norms; the selected parameters of both are trained.
    pub(crate) fn new(
        backbone: N,
        device: &B::Device,
        statistics: BatchStatistics,
        backbone_chosen: impl Fn(&ParameterPath) -> bool,
        norms_chosen: impl Fn(&ParameterPath) -> bool,
    ) -> Self {
        let norms = OutputNorms::new(&backbone.description(), device);
        Self {
            backbone: track_backbone(backbone, backbone_chosen, statistics),
            norms: track(norms, norms_chosen),
        }
    }
}
