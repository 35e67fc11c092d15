//! Low-rank adapters: as [`adapter`](crate::adapter), with both projections a product of two thin
//! factors, `W_D = P_D Q_D` and `W_U = P_U Q_U`, of rank 1 by default (the Low-Rank baseline of
//! Mahabadi et al. 2021, arXiv 2106.04647).
//!
//! Memory: gradients pass through the whole backbone; each adapter also keeps its narrow map.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Tunable;
use gradway_kernels::{Activation, ChannelAxis, KernelBackend, add};
use serde::{Deserialize, Serialize};

use crate::bottleneck::bottleneck;
use crate::count::Group;
use crate::inserted::{Insert, Inserted};
use crate::method::{About, Settings, in_range, kaiming, unmergeable};

pub(crate) const ABOUT: About = About {
    name: "low_rank_adapter",
    summary: "a bottleneck of factorised projections in every branch, and the output norms",
    source: "Low-Rank Adapter, arXiv 2106.04647",
    starts_frozen: true,
    merges: Err(unmergeable::ACTIVATION),
};

/// Configuration of [`LowRankAdapter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LowRankAdapterConfig {
    /// Width of the bottleneck.
    pub width: usize,
    /// Rank of a projection.
    pub rank: usize,
}

impl Default for LowRankAdapterConfig {
    fn default() -> Self {
        Self { width: 64, rank: 1 }
    }
}

/// The module of low-rank adapters.
pub type LowRankAdapter<B, N> = Inserted<B, Factorised<B>, N>;

/// A bottleneck of factorised projections that is added to its input.
#[derive(Module, Debug)]
pub struct Factorised<B: Backend> {
    /// `P_D`, `[channels, rank]`
    pub down_in: Param<Tensor<B, 2>>,
    /// `Q_D`, `[rank, width]`
    pub down_out: Param<Tensor<B, 2>>,
    /// `[width]`
    pub down_bias: Param<Tensor<B, 1>>,
    /// `P_U`, `[width, rank]`
    pub up_in: Param<Tensor<B, 2>>,
    /// `Q_U`, `[rank, channels]`, zero at first.
    pub up_out: Param<Tensor<B, 2>>,
    /// `[channels]`
    pub up_bias: Param<Tensor<B, 1>>,
}

impl LowRankAdapterConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> LowRankAdapter<B, N> {
        let Self { width, rank } = *self;
        Inserted::new(backbone, device, |section| {
            let channels = section.channels;
            Factorised {
                down_in: kaiming([channels, rank], channels, device),
                down_out: kaiming([rank, width], rank, device),
                down_bias: Initializer::Zeros.init([width], device),
                up_in: kaiming([width, rank], width, device),
                up_out: Initializer::Zeros.init([rank, channels], device),
                up_bias: Initializer::Zeros.init([channels], device),
            }
        })
    }
}

impl Settings for LowRankAdapterConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("width", self.width)?;
        in_range("rank", self.rank)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }
}

impl<B: KernelBackend> Insert<B> for Factorised<B> {
    fn insert(&self, _: &Tensor<B, 4>, output: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
        let down = self.down_in.val().matmul(self.down_out.val());
        let up = self.up_in.val().matmul(self.up_out.val());
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
