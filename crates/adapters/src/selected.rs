//! A backbone of which some parameters are trained, and its output norms: the module of every method
//! that adds nothing.

use burn::module::Module;
use burn::tensor::backend::Backend;
use gradway_backbone::{AnyBackbone, Backbone, BatchStatistics, OutputNorms, ParameterPath};
use gradway_kernels::KernelBackend;

use crate::track::{track, track_backbone};

/// The module of a method that trains a part of what there is.
#[derive(Module, Debug)]
pub struct Selected<B: Backend> {
    /// Trained in part.
    pub backbone: AnyBackbone<B>,
    /// Trained in part.
    pub norms: OutputNorms<B>,
}

impl<B: KernelBackend> Selected<B> {
    /// A backbone with new output norms; of both the parameters are trained that are chosen.
    pub(crate) fn new(
        backbone: AnyBackbone<B>,
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
