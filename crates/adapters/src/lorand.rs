//! LoRand: dual low-rank adapters in the branches, `y = f(x) + W_U gelu(W_D f(x) + b_D) + b_U` with
//! `W = sum_i P_i K_i Q_i` and the `K_i` shared by down and up (Yin et al. 2023, CVPR, "1 % VS 100 %").
//!
//! The bottleneck is half as wide as the channels. Each block has two adapters, after attention and after the
//! MLP. The factors are those of E3VA's kernel form; all have Kaiming initialisation, so the model does not
//! start as the frozen one. The wide weights are never computed: a projection is applied as the product of its
//! two thin factors.
//!
//! The default has the published 1.20 M on Swin-B. For Swin-L the tables report 1.31 M, which the same form
//! does not match: it has 1.79 M, as E3VA's.
//!
//! Memory: gradients pass through the whole backbone; each adapter also keeps its input.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Tunable;
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
    /// Number of terms of a projection (alpha).
    pub terms: usize,
    /// Side of a kernel (beta): the rank of a term.
    pub side: usize,
    /// Width of the bottleneck: the channels divided by this.
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
pub type Lorand<B, N> = Inserted<B, LowRankResidual<B>, N>;

/// A dual low-rank adapter that is added to its input.
#[derive(Module, Debug)]
pub struct LowRankResidual<B: Backend> {
    /// The adapter, in the kernel form.
    pub adapter: DualLowRankAdapter<B>,
}

impl LorandConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> Lorand<B, N> {
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
