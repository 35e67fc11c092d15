//! PHM adapters: as [`adapter`](crate::adapter), with hypercomplex projections, `W = sum_i A_i (x) B_i`; every
//! projection has its own rules `A_i` (the PHM-Adapter of Mahabadi et al. 2021, arXiv 2106.04647).
//!
//! Memory: gradients pass through the whole backbone; each adapter also keeps its narrow map and its weights.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Description, Tunable};
use gradway_kernels::{Activation, ChannelAxis, KernelBackend, add};
use serde::{Deserialize, Serialize};

use crate::bottleneck::bottleneck;
use crate::count::Group;
use crate::hypercomplex::{self, Dense};
use crate::inserted::{Insert, Inserted};
use crate::method::{About, Settings, unmergeable};

pub(crate) const ABOUT: About = About {
    name: "phm_adapter",
    summary: "a bottleneck of hypercomplex projections in every branch, and the output norms",
    source: "PHM-Adapter, arXiv 2106.04647",
    starts_frozen: true,
    merges: Err(unmergeable::ACTIVATION),
};

/// Configuration of [`PhmAdapter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PhmAdapterConfig {
    /// Width of the bottleneck.
    pub width: usize,
    /// Number of terms of a projection, and side of its rules.
    pub n: usize,
}

impl Default for PhmAdapterConfig {
    fn default() -> Self {
        Self { width: 64, n: 4 }
    }
}

/// The module of PHM adapters.
pub type PhmAdapter<B, N> = Inserted<B, Hypercomplex<B>, N>;

/// A bottleneck of hypercomplex projections that is added to its input.
#[derive(Module, Debug)]
pub struct Hypercomplex<B: Backend> {
    /// `[n, n, n]`
    pub down_rules: Param<Tensor<B, 3>>,
    /// Down projection.
    pub down: Dense<B>,
    /// `[width]`
    pub down_bias: Param<Tensor<B, 1>>,
    /// `[n, n, n]`
    pub up_rules: Param<Tensor<B, 3>>,
    /// Up projection, zero at first.
    pub up: Dense<B>,
    /// `[channels]`
    pub up_bias: Param<Tensor<B, 1>>,
}

impl PhmAdapterConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> PhmAdapter<B, N> {
        let Self { width, n } = *self;
        Inserted::new(backbone, device, |section| {
            let channels = section.channels;
            Hypercomplex {
                down_rules: hypercomplex::rules(n, device),
                down: Dense::new(n, [channels, width], false, device),
                down_bias: Initializer::Zeros.init([width], device),
                up_rules: hypercomplex::rules(n, device),
                up: Dense::new(n, [width, channels], true, device),
                up_bias: Initializer::Zeros.init([channels], device),
            }
        })
    }
}

impl Settings for PhmAdapterConfig {
    fn validate(&self) -> Result<(), String> {
        hypercomplex::divides(self.n, self.width)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        hypercomplex::misfit(self.n, backbone)
    }
}

impl<B: KernelBackend> Insert<B> for Hypercomplex<B> {
    fn insert(&self, _: &Tensor<B, 4>, output: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
        let down = hypercomplex::weight(self.down_rules.val(), self.down.weight.val());
        let up = hypercomplex::weight(self.up_rules.val(), self.up.weight.val());
        let projections = [
            (down, Some(self.down_bias.val())),
            (up, Some(self.up_bias.val())),
        ];
        add(
            bottleneck(output.clone(), projections, axis, Activation::Gelu),
            output,
        )
    }
}
