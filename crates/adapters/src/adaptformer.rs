//! AdaptFormer: bottlenecks beside the branches, `y = f(x) + s (W_U relu(W_D x + b_D) + b_U)` with the
//! block's stream `x` and a scale `s` of 0.1 (Chen et al. 2022, arXiv 2205.13535).
//!
//! The publication has one beside the MLP; E3VA's counts (3.11 M on Swin-B) are those of one beside
//! attention too.
//!
//! Memory: a gradient passes through the whole backbone; each bottleneck keeps its narrow map besides.

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
    name: "adaptformer",
    summary: "a scaled bottleneck beside attention and beside the MLP, and the output norms",
    source: "AdaptFormer, arXiv 2205.13535",
    placement: Placement::Tracked,
};

/// Configuration of [`Adaptformer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptformerConfig {
    /// Width of the bottleneck.
    pub width: usize,
    /// Factor of what a bottleneck adds.
    pub scale: f64,
}

impl Default for AdaptformerConfig {
    fn default() -> Self {
        Self {
            width: 64,
            scale: 0.1,
        }
    }
}

/// The module of AdaptFormer.
#[derive(Module, Debug)]
pub struct Adaptformer<B: Backend> {
    /// Frozen.
    pub backbone: AnyBackbone<B>,
    /// Bottlenecks by section, block and branch.
    pub sections: Vec<Vec<Vec<Bottleneck<B>>>>,
    /// Trained.
    pub norms: OutputNorms<B>,
    #[module(skip)]
    config: AdaptformerConfig,
}

impl AdaptformerConfig {
    /// The module around a backbone.
    pub fn init<B: KernelBackend>(
        &self,
        backbone: AnyBackbone<B>,
        device: &B::Device,
    ) -> Adaptformer<B> {
        let description = backbone.description();
        Adaptformer {
            backbone: track(backbone, |_| false),
            sections: Bottleneck::for_branches(&description, self.width, device),
            norms: OutputNorms::new(&description, device),
            config: self.clone(),
        }
    }
}

impl Settings for AdaptformerConfig {
    fn validate(&self) -> Result<(), String> {
        if self.width == 0 {
            return Err("method.width = 0; it must be at least 1".to_string());
        }
        if !self.scale.is_finite() {
            return Err(format!(
                "method.scale = {}; it must be a number",
                self.scale
            ));
        }
        Ok(())
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        let reason =
            "what runs beside a branch must have its shape, and a convolutional block changes it";
        (!backbone.is_transformer()).then_some(reason)
    }
}

impl<B: KernelBackend> Method<B> for Adaptformer<B> {
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
    module: &'a Adaptformer<B>,
    description: &'a Description,
}

impl<B: KernelBackend> Access<B> for Inside<'_, B> {
    fn at(&mut self, site: Site, input: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        let Some(branch) = self.description.branch(site.point) else {
            return output;
        };
        let bottleneck = &self.module.sections[site.section][site.block][branch];
        let adapted = bottleneck.forward(input.clone(), self.description.axis, Activation::Relu);
        add(adapted.mul_scalar(self.module.config.scale), output)
    }
}
