//! The frozen backbone: only the decoder is trained.
//!
//! The output norms stay at scale 1 and shift 0, so that a decoder reads features of the same scale as with
//! every other method. Memory: no activation of the backbone is kept.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Backbone, Description, OutputNorms, Phase, Untouched};
use gradway_kernels::{KernelBackend, Lift};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Method, Settings, unmergeable};
use crate::placement::Beside;

pub(crate) const ABOUT: About = About {
    name: "fixed",
    summary: "no parameters of the backbone",
    source: "the usual baseline",
    starts_frozen: true,
    merges: Err(unmergeable::NOTHING),
};

/// Configuration of [`Fixed`]; it has no fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedConfig {}

/// The module of the frozen backbone.
#[derive(Module, Debug)]
pub struct Fixed<B: Backend> {
    /// Output norms, frozen at scale 1 and shift 0.
    pub norms: OutputNorms<B>,
}

impl FixedConfig {
    /// Initialises the module for a backbone with this description.
    pub fn init<B: Backend>(&self, description: &Description, device: &B::Device) -> Fixed<B> {
        Fixed {
            norms: OutputNorms::new(description, device).no_grad(),
        }
    }
}

impl Settings for FixedConfig {
    fn published_groups(&self) -> &'static [Group] {
        &[]
    }
}

impl<B: KernelBackend> Method<B> for Fixed<B> {
    type Shared = Vec<Tensor<B, 4>>;

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}

impl<B: KernelBackend> Beside<B> for Fixed<B> {
    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        frozen: &impl Backbone<F>,
        images: Tensor<F, 4>,
        _phase: Phase,
    ) -> Vec<Tensor<B, 4>> {
        let axis = frozen.description().axis;
        let outputs = frozen.forward(images, Phase::Inference, &mut Untouched);
        let outputs = outputs.into_iter().map(L::lift).collect();
        self.norms.forward_all(outputs, axis)
    }
}
