//! Full fine-tuning: the backbone and its output norms are trained.
//!
//! Memory: every activation of the backbone is kept for the backward pass, and weights, gradients
//! and both moments of the optimiser have the backbone's size. This is the row that the others are
//! measured against.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{AnyBackbone, Backbone, OutputNorms, Phase, Untouched};
use gradway_kernels::{KernelBackend, Lift};
use serde::{Deserialize, Serialize};

use crate::method::{Method, MethodDescriptor, Placement};
use crate::track::track;

pub(crate) const DESCRIPTOR: MethodDescriptor = MethodDescriptor {
    name: "full",
    summary: "every parameter of the backbone and its output norms",
    source: "the usual baseline",
    placement: Placement::Tracked,
};

/// Configuration of [`Full`]; it has no choices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullConfig {}

/// The module of full fine-tuning.
#[derive(Module, Debug)]
pub struct Full<B: Backend> {
    /// Trained whole.
    pub backbone: AnyBackbone<B>,
    /// Trained.
    pub norms: OutputNorms<B>,
}

impl FullConfig {
    /// The module around a backbone.
    pub fn init<B: KernelBackend>(&self, backbone: AnyBackbone<B>, device: &B::Device) -> Full<B> {
        let norms = OutputNorms::new(&backbone.description(), device);
        Full {
            backbone: track(backbone, |_| true),
            norms,
        }
    }
}

impl<B: KernelBackend> Method<B> for Full<B> {
    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        _frozen: Option<&AnyBackbone<F>>,
        images: Tensor<F, 4>,
        phase: Phase,
    ) -> Vec<Tensor<B, 4>> {
        let axis = self.backbone.description().axis;
        self.backbone
            .forward(L::lift(images), phase, &mut Untouched)
            .into_iter()
            .enumerate()
            .map(|(stage, output)| self.norms.forward(stage, output, axis))
            .collect()
    }
}
