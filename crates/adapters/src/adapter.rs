//! Adapters in the branches: `y = f(x) + W_U gelu(W_D f(x) + b_D) + b_U` after attention and after the
//! MLP, before the residual add (Houlsby et al. 2019, arXiv 1902.00751; 64 wide, as E3VA's tables have
//! them).
//!
//! Memory: a gradient passes through the whole backbone; each adapter keeps its narrow map besides.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Access, AnyBackbone, Backbone, Description, OutputNorms, Phase, Site};
use gradway_kernels::{Activation, KernelBackend, Lift, add};
use serde::{Deserialize, Serialize};

use crate::bottleneck::Bottleneck;
use crate::count::Group;
use crate::method::{Method, MethodDescriptor, Placement, Settings, features_around};
use crate::track::track;

pub(crate) const DESCRIPTOR: MethodDescriptor = MethodDescriptor {
    name: "adapter",
    summary: "a bottleneck after attention and after the MLP, and the output norms",
    source: "Adapter, arXiv 1902.00751",
    placement: Placement::Tracked,
};

/// Configuration of [`Adapter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdapterConfig {
    /// Width of the bottleneck.
    pub width: usize,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self { width: 64 }
    }
}

/// The module of adapters.
#[derive(Module, Debug)]
pub struct Adapter<B: Backend> {
    /// Frozen.
    pub backbone: AnyBackbone<B>,
    /// Bottlenecks by section, block and branch.
    pub sections: Vec<Vec<Vec<Bottleneck<B>>>>,
    /// Trained.
    pub norms: OutputNorms<B>,
}

impl AdapterConfig {
    /// The module around a backbone.
    pub fn init<B: KernelBackend>(
        &self,
        backbone: AnyBackbone<B>,
        device: &B::Device,
    ) -> Adapter<B> {
        let description = backbone.description();
        Adapter {
            backbone: track(backbone, |_| false),
            sections: Bottleneck::for_branches(&description, self.width, device),
            norms: OutputNorms::new(&description, device),
        }
    }
}

impl Settings for AdapterConfig {
    fn validate(&self) -> Result<(), String> {
        match self.width {
            0 => Err("method.width = 0; it must be at least 1".to_string()),
            _ => Ok(()),
        }
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }
}

impl<B: KernelBackend> Method<B> for Adapter<B> {
    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        _frozen: Option<&AnyBackbone<F>>,
        images: Tensor<F, 4>,
        phase: Phase,
    ) -> Vec<Tensor<B, 4>> {
        let description = self.backbone.description();
        let mut inside = Inside {
            module: self,
            description: &description,
        };
        features_around::<B, F, L>(&self.backbone, &self.norms, images, phase, &mut inside)
    }
}

struct Inside<'a, B: Backend> {
    module: &'a Adapter<B>,
    description: &'a Description,
}

impl<B: KernelBackend> Access<B> for Inside<'_, B> {
    fn at(&mut self, site: Site, _input: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        let Some(branch) = self.description.branch(site.point) else {
            return output;
        };
        let bottleneck = &self.module.sections[site.section][site.block][branch];
        let adapted = bottleneck.forward(output.clone(), self.description.axis, Activation::Gelu);
        add(adapted, output)
    }
}
