//! Deep visual prompt tuning: every block has its own prompts, which are added to the positions of every window
//! and dropped after the block (Jia et al. 2022, arXiv 2203.12119, as in its code for Swin).
//!
//! Since the prompts are dropped after the block, they are only keys and values; their queries are not computed.
//!
//! Memory: gradients pass through the whole backbone, and attention with prompts keeps its scores.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Access, Description, OutputNorms, Phase, Site, Tunable};
use gradway_kernels::{KernelBackend, Rotations, Windows, self_attention, window_attention};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Method, Settings, in_range, unmergeable};
use crate::placement::{Around, features_around};
use crate::track::frozen_backbone;
use crate::vpt;

pub(crate) const ABOUT: About = About {
    name: "vpt_deep",
    summary: "prompts in every block's windows, and the output norms",
    source: "VPT, arXiv 2203.12119",
    starts_frozen: false,
    merges: Err(unmergeable::PROMPTS),
};

/// Configuration of [`VptDeep`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VptDeepConfig {
    /// Number of prompts of a block.
    pub tokens: usize,
}

impl Default for VptDeepConfig {
    fn default() -> Self {
        Self { tokens: 50 }
    }
}

/// The module of deep prompt tuning.
#[derive(Module, Debug)]
pub struct VptDeep<B: Backend, N: Module<B>> {
    /// The frozen backbone.
    pub backbone: N,
    /// Prompts by section and block, `[tokens, channels]`.
    pub sections: Vec<Vec<Param<Tensor<B, 2>>>>,
    /// Output norms, trained.
    pub norms: OutputNorms<B>,
}

impl VptDeepConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> VptDeep<B, N> {
        let description = backbone.description();
        let sections = description.sections.iter().map(|section| {
            let block = || vpt::prompts(self.tokens, section.channels, device);
            (0..section.blocks).map(|_| block()).collect()
        });
        VptDeep {
            backbone: frozen_backbone(backbone),
            sections: sections.collect(),
            norms: OutputNorms::new(&description, device),
        }
    }
}

impl Settings for VptDeepConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("tokens", self.tokens)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        vpt::misfit(backbone)
    }
}

impl<B: KernelBackend, N: Tunable<B>> Method<B> for VptDeep<B, N> {
    type Shared = Vec<Tensor<B, 4>>;

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}

impl<B: KernelBackend, N: Tunable<B>> Around<B, N> for VptDeep<B, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Tensor<B, 4>> {
        let mut access = VptDeepAccess { module: self };
        features_around(&self.backbone, &self.norms, images, phase, &mut access)
    }
}

struct VptDeepAccess<'a, B: Backend, N: Module<B>> {
    module: &'a VptDeep<B, N>,
}

impl<B: KernelBackend, N: Tunable<B>> Access<B> for VptDeepAccess<'_, B, N> {
    fn at(&mut self, _: Site, _: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        output
    }

    fn attend(
        &mut self,
        section: usize,
        block: usize,
        qkv: Tensor<B, 4>,
        table: Tensor<B, 2>,
        windows: Windows,
    ) -> Tensor<B, 4> {
        let backbone = &self.module.backbone;
        let Some(inside) = backbone.transformer_block(section, block) else {
            return window_attention(qkv, table, windows);
        };
        let prompts = self.module.sections[section][block].val();
        let prompts = vpt::for_batch(prompts, qkv.dims()[0]);
        vpt::attend(inside, prompts, qkv, table, windows).positions()
    }

    fn attend_globally(
        &mut self,
        section: usize,
        block: usize,
        qkv: Tensor<B, 3>,
        heads: usize,
        rotations: Option<Rotations<B>>,
    ) -> Tensor<B, 3> {
        let backbone = &self.module.backbone;
        let Some(inside) = backbone.transformer_block(section, block) else {
            return self_attention(qkv, heads, rotations);
        };
        let prompts = self.module.sections[section][block].val();
        let prompts = vpt::for_batch(prompts, qkv.dims()[0]);
        let [tokens, _] = vpt::attend_globally(inside, prompts, qkv, heads, rotations);
        tokens
    }
}
