//! LoRand: dual low-rank adapters in the branches, `y = f(x) + W_U gelu(W_D f(x) + b_D) + b_U` with
//! `W = sum_i P_i K_i Q_i` and the `K_i` shared by down and up (Yin et al. 2023, CVPR, "1 % VS 100 %").
//!
//! The bottleneck is half as wide as the channels; two adapters per block, after attention and after the
//! MLP. The factors are those of E3VA's kernel form; all start from Kaiming's distribution, so that the
//! model does not start from the frozen one. The wide weights are never made: a projection is the
//! product of its two thin factors.
//!
//! The published 1.20 M on Swin-B are the default. For Swin-L the tables print 1.31 M, which the same
//! form does not give: it has 1.79 M, as E3VA's does.
//!
//! Memory: a gradient passes through the whole backbone; each adapter keeps its input besides.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::AnyBackbone;
use gradway_kernels::{ChannelAxis, KernelBackend, add};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::dual_low_rank::{DualLowRank, DualLowRankAdapter, UpInit};
use crate::inserted::{Insert, Inserted};
use crate::method::{About, Settings, in_range, unmergeable};

pub(crate) const ABOUT: About = About {
    name: "lorand",
    summary: "a dual low-rank adapter after attention and after the MLP, and the output norms",
    source: "LoRand, CVPR 2023",
    starts_frozen: false,
    merges: Err(unmergeable::ACTIVATION),
};

/// Configuration of [`Lorand`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LorandConfig {
    /// Terms of a projection (alpha).
    pub terms: usize,
    /// Side of a kernel (beta): the rank of a term.
    pub side: usize,
    /// The bottleneck is the channels divided by this.
    pub reduction: usize,
}

impl Default for LorandConfig {
    fn default() -> Self {
        Self {
            terms: 2,
            side: 8,
            reduction: 2,
        }
    }
}

/// The module of LoRand.
pub type Lorand<B> = Inserted<B, LowRankResidual<B>>;

/// A dual low-rank adapter that is added to what it reads.
#[derive(Module, Debug)]
pub struct LowRankResidual<B: Backend> {
    /// Of the kernel form.
    pub adapter: DualLowRankAdapter<B>,
}

impl LorandConfig {
    /// The module around a backbone.
    pub fn init<B: KernelBackend>(
        &self,
        backbone: AnyBackbone<B>,
        device: &B::Device,
    ) -> Lorand<B> {
        let shape = DualLowRank {
            rank: self.terms * self.side,
            terms: Some(self.terms),
            reduction: self.reduction,
            up_init: UpInit::Kaiming,
        };
        Inserted::new(backbone, device, |section| LowRankResidual {
            adapter: DualLowRankAdapter::new(shape, section.channels, device),
        })
    }
}

impl Settings for LorandConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("terms", self.terms)?;
        in_range("side", self.side)?;
        in_range("reduction", self.reduction)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }
}

impl<B: KernelBackend> Insert<B> for LowRankResidual<B> {
    fn insert(&self, _: &Tensor<B, 4>, output: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
        add(self.adapter.forward(output.clone(), axis), output)
    }
}
