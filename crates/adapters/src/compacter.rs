//! Compacter: as [`phm_adapter`](crate::phm_adapter), with one set of rules `A_i` for all projections
//! of the network and `B_i = s_i t_i` of rank 1 (Mahabadi et al. 2021, arXiv 2106.04647).
//!
//! Memory: gradients pass through the whole backbone; each adapter also keeps its narrow map and its weights.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Description, OutputNorms, Phase, Tunable};
use gradway_kernels::{Activation, ChannelAxis, KernelBackend, add};
use serde::{Deserialize, Serialize};

use crate::bottleneck::bottleneck;
use crate::count::Group;
use crate::hypercomplex::{self, Thin};
use crate::inserted::{InsertedAccess, InsertionPoints, sections};
use crate::method::{About, Method, Settings, in_range, unmergeable};
use crate::placement::{Around, features_around};
use crate::track::frozen_backbone;

pub(crate) const ABOUT: About = About {
    name: "compacter",
    summary: "a bottleneck of thin hypercomplex projections in every branch, and the output norms",
    source: "Compacter, arXiv 2106.04647",
    starts_frozen: true,
    merges: Err(unmergeable::ACTIVATION),
};

/// Configuration of [`Compacter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompacterConfig {
    /// Width of the bottleneck.
    pub width: usize,
    /// Number of terms of a projection, and side of the rules.
    pub n: usize,
    /// Rank of a term.
    pub rank: usize,
}

impl Default for CompacterConfig {
    fn default() -> Self {
        Self {
            width: 64,
            n: 4,
            rank: 1,
        }
    }
}

/// A bottleneck of thin hypercomplex projections that is added to its input.
#[derive(Module, Debug)]
pub struct ThinBottleneck<B: Backend> {
    /// Down projection.
    pub down: Thin<B>,
    /// `[width]`
    pub down_bias: Param<Tensor<B, 1>>,
    /// Up projection, zero at first.
    pub up: Thin<B>,
    /// `[channels]`
    pub up_bias: Param<Tensor<B, 1>>,
}

/// The module of Compacter and Compacter++.
#[derive(Module, Debug)]
pub struct Compacter<B: Backend, N: Module<B>> {
    /// The frozen backbone.
    pub backbone: N,
    /// `A_i` of every projection, `[n, n, n]`.
    pub rules: Param<Tensor<B, 3>>,
    /// Adapters by section, block and point.
    pub sections: Vec<Vec<Vec<ThinBottleneck<B>>>>,
    /// Output norms, trained.
    pub norms: OutputNorms<B>,
    #[module(skip)]
    places: InsertionPoints,
}

impl CompacterConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> Compacter<B, N> {
        self.init_at(InsertionPoints::Branches, backbone, device)
    }

    pub(crate) fn init_at<B: KernelBackend, N: Tunable<B>>(
        &self,
        places: InsertionPoints,
        backbone: N,
        device: &B::Device,
    ) -> Compacter<B, N> {
        let Self { width, n, rank } = *self;
        let description = backbone.description();
        let sections = sections(&description, places, |section| {
            let channels = section.channels;
            ThinBottleneck {
                down: Thin::new(n, [channels, width], rank, false, device),
                down_bias: Initializer::Zeros.init([width], device),
                up: Thin::new(n, [width, channels], rank, true, device),
                up_bias: Initializer::Zeros.init([channels], device),
            }
        });
        Compacter {
            backbone: frozen_backbone(backbone),
            rules: hypercomplex::rules(n, device),
            sections,
            norms: OutputNorms::new(&description, device),
            places,
        }
    }
}

impl Settings for CompacterConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("rank", self.rank)?;
        hypercomplex::divides(self.n, self.width)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        hypercomplex::misfit(self.n, backbone)
    }
}

impl<B: KernelBackend> ThinBottleneck<B> {
    /// `x + W_U gelu(W_D x + b_D) + b_U`
    fn forward(&self, rules: &Tensor<B, 3>, x: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
        let weight = |thin: &Thin<B>| hypercomplex::weight(rules.clone(), thin.product());
        let projections = [
            (weight(&self.down), Some(self.down_bias.val())),
            (weight(&self.up), Some(self.up_bias.val())),
        ];
        add(
            bottleneck(x.clone(), projections, axis, Activation::Gelu),
            x,
        )
    }
}

impl<B: KernelBackend, N: Tunable<B>> Method<B> for Compacter<B, N> {
    type Shared = Vec<Tensor<B, 4>>;

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}

impl<B: KernelBackend, N: Tunable<B>> Around<B, N> for Compacter<B, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Tensor<B, 4>> {
        let rules = self.rules.val();
        let mut access = InsertedAccess {
            sections: &self.sections,
            places: self.places,
            description: &self.backbone.description(),
            needs_map: false,
            grid: None,
            insert: |module: &ThinBottleneck<B>, _: &Tensor<B, 4>, output, axis| {
                module.forward(&rules, output, axis)
            },
        };
        features_around(&self.backbone, &self.norms, images, phase, &mut access)
    }
}
