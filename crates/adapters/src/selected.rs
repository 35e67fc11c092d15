//! A backbone of which some parameters are trained, and its output norms: the module of every method
//! that adds nothing.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{AnyBackbone, Backbone, BatchStatistics, OutputNorms, Phase, Untouched};
use gradway_kernels::{KernelBackend, Lift};

use crate::method::{Method, features_around};
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
    /// A backbone with new output norms; of both the parameters are trained whose path is chosen.
    pub(crate) fn new(
        backbone: AnyBackbone<B>,
        device: &B::Device,
        statistics: BatchStatistics,
        backbone_chosen: impl Fn(&str) -> bool,
        norms_chosen: impl Fn(&str) -> bool,
    ) -> Self {
        let norms = OutputNorms::new(&backbone.description(), device);
        Self {
            backbone: track_backbone(backbone, backbone_chosen, statistics),
            norms: track(norms, norms_chosen),
        }
    }
}

impl<B: KernelBackend> Method<B> for Selected<B> {
    fn merged(&self) -> Option<Selected<B>> {
        Some(self.clone())
    }

    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        _frozen: Option<&AnyBackbone<F>>,
        images: Tensor<F, 4>,
        phase: Phase,
    ) -> Vec<Tensor<B, 4>> {
        let (backbone, norms) = (&self.backbone, &self.norms);
        features_around::<B, F, L>(backbone, norms, images, phase, &mut Untouched)
    }
}
