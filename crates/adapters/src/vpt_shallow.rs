//! Shallow visual prompt tuning: prompts are added to the positions of every window of the first block and pass
//! through the network with them (Jia et al. 2022, arXiv 2203.12119, as in its code for Swin).
//!
//! The attention of every window changes the prompts; their mean over the windows of an image is the input of
//! the next block. A patch merging receives each prompt four times. (For batches of several images the public
//! code averages over windows of different images, which is not done here.) Stochastic depth is not applied to
//! prompts.
//!
//! Memory: gradients pass through the whole backbone, and attention with prompts keeps its scores.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Access, Description, OutputNorms, Phase, Point, Site, Tunable};
use gradway_kernels::{KernelBackend, Rotations, Same, Windows, self_attention, window_attention};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Method, Settings, in_range, unmergeable};
use crate::placement::{Around, features_around};
use crate::track::frozen_backbone;
use crate::vpt;

pub(crate) const ABOUT: About = About {
    name: "vpt_shallow",
    summary: "prompts in the first block's windows, and the output norms",
    source: "VPT, arXiv 2203.12119",
    starts_frozen: false,
    merges: Err(unmergeable::PROMPTS),
};

/// Configuration of [`VptShallow`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VptShallowConfig {
    /// Number of prompts.
    pub tokens: usize,
}

impl Default for VptShallowConfig {
    fn default() -> Self {
        Self { tokens: 50 }
    }
}

/// The module of shallow prompt tuning.
#[derive(Module, Debug)]
pub struct VptShallow<B: Backend, N: Module<B>> {
    /// The frozen backbone.
    pub backbone: N,
    /// `[tokens, channels]`, with the channels of the first section.
    pub prompts: Param<Tensor<B, 2>>,
    /// Output norms, trained.
    pub norms: OutputNorms<B>,
}

impl VptShallowConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> VptShallow<B, N> {
        let description = backbone.description();
        VptShallow {
            backbone: frozen_backbone(backbone),
            prompts: vpt::prompts(self.tokens, description.sections[0].channels, device),
            norms: OutputNorms::new(&description, device),
        }
    }
}

impl Settings for VptShallowConfig {
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

impl<B: KernelBackend, N: Tunable<B>> Method<B> for VptShallow<B, N> {
    type Shared = Vec<Tensor<B, 4>>;

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}

impl<B: KernelBackend, N: Tunable<B>> Around<B, N> for VptShallow<B, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Tensor<B, 4>> {
        let batch = images.dims()[0];
        let mut access = VptShallowAccess {
            module: self,
            prompts: vpt::for_batch(self.prompts.val(), batch),
        };
        features_around(&self.backbone, &self.norms, images, phase, &mut access)
    }
}

struct VptShallowAccess<'a, B: Backend, N: Module<B>> {
    module: &'a VptShallow<B, N>,
    /// The current prompts: `[batch, tokens, channels]`.
    prompts: Tensor<B, 3>,
}

impl<B: KernelBackend, N: Tunable<B>> Access<B> for VptShallowAccess<'_, B, N> {
    fn at(&mut self, site: Site, _: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        if site.point == Point::Merging {
            let [batch, tokens, channels] = self.prompts.dims();
            let prompts = self.prompts.clone().reshape([batch, 1, tokens, channels]);
            // Two lines of pairs: four of each.
            let pairs = Tensor::cat(vec![prompts.clone(), prompts], 3);
            let pairs = pairs
                .reshape([batch, 1, 2 * tokens, channels])
                .repeat_dim(1, 2);
            let backbone = &self.module.backbone;
            let merged = backbone.transition::<B, Same>(site.section - 1, pairs);
            self.prompts = merged.squeeze_dim(1);
        }
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
        let prompts = self.prompts.clone();
        let attention = vpt::attend(inside, prompts.clone(), qkv, table, windows);
        self.prompts = inside.tokens_after_attention(prompts, attention.prompts());
        attention.positions()
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
        let prompts = self.prompts.clone();
        let [tokens, mixed] = vpt::attend_globally(inside, prompts.clone(), qkv, heads, rotations);
        self.prompts = inside.tokens_after_attention(prompts, mixed);
        tokens
    }
}
