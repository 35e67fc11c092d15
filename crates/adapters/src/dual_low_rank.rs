//! The dual low-rank adapter of E3VA and LoRand: a bottleneck whose projections are both factorised.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{ChannelAxis, KernelBackend, LowRankWeights, low_rank_adapter};
use serde::{Deserialize, Serialize};

use crate::method::kaiming;

/// Initialisation of the last factor of the up projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpInit {
    /// Zero: the output of the adapter starts at zero.
    #[default]
    Zero,
    /// Kaiming uniform, like the other factors.
    Kaiming,
}

/// Configuration of a [`DualLowRankAdapter`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct DualLowRank {
    /// Number of columns of a projection's first factor, over all terms.
    pub rank: usize,
    /// Number of terms of the kernel form; `None` for the plain form.
    pub terms: Option<usize>,
    /// Width of the bottleneck: the channels divided by this.
    pub reduction: usize,
    /// Initialisation of the up projection.
    pub up_init: UpInit,
}

/// `E(z) = W_U gelu(W_D z + b_D) + b_U` with both projections factorised.
#[derive(Module, Debug)]
pub struct DualLowRankAdapter<B: Backend> {
    /// `P_D`, `[channels, rank]`; in the kernel form the `P_i` side by side.
    pub down_in: Param<Tensor<B, 2>>,
    /// `Q_D`, `[rank, middle]`; in the kernel form the `Q_i` stacked.
    pub down_out: Param<Tensor<B, 2>>,
    /// `[middle]`
    pub down_bias: Param<Tensor<B, 1>>,
    /// `P_U`, `[middle, rank]`
    pub up_in: Param<Tensor<B, 2>>,
    /// `Q_U`, `[rank, channels]`
    pub up_out: Param<Tensor<B, 2>>,
    /// `[channels]`
    pub up_bias: Param<Tensor<B, 1>>,
    /// `K_i` of the kernel form, shared by both projections: `[terms, side, side]`.
    pub kernel: Option<Param<Tensor<B, 3>>>,
}

impl<B: Backend> DualLowRankAdapter<B> {
    pub(crate) fn new(shape: DualLowRank, channels: usize, device: &B::Device) -> Self {
        let rank = shape.rank;
        let middle = (channels / shape.reduction).max(1);
        Self {
            down_in: kaiming([channels, rank], channels, device),
            down_out: kaiming([rank, middle], rank, device),
            down_bias: Initializer::Zeros.init([middle], device),
            up_in: kaiming([middle, rank], middle, device),
            up_out: match shape.up_init {
                UpInit::Zero => Initializer::Zeros.init([rank, channels], device),
                UpInit::Kaiming => kaiming([rank, channels], rank, device),
            },
            up_bias: Initializer::Zeros.init([channels], device),
            kernel: shape.terms.map(|terms| {
                let side = rank / terms;
                kaiming([terms, side, side], side, device)
            }),
        }
    }
}

impl<B: KernelBackend> DualLowRankAdapter<B> {
    /// # Shapes
    ///
    /// - `z`, output: `[batch, height, width, channels]` or `[batch, channels, height, width]`, according to `axis`
    pub fn forward(&self, z: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
        let weights = LowRankWeights {
            down_in: self.down_in.val(),
            down_out: self.through_kernel(self.down_out.val()),
            down_bias: self.down_bias.val(),
            up_in: self.up_in.val(),
            up_out: self.through_kernel(self.up_out.val()),
            up_bias: self.up_bias.val(),
        };
        low_rank_adapter(z, weights, axis)
    }

    /// `K_i Q_i`, stacked: `sum_i P_i K_i Q_i` is then a product of two factors as in the plain form, and the
    /// full `[channels, middle]` matrix is never computed.
    fn through_kernel(&self, factors: Tensor<B, 2>) -> Tensor<B, 2> {
        let Some(kernel) = &self.kernel else {
            return factors;
        };
        let kernel = kernel.val();
        let [terms, side, _] = kernel.dims();
        let [rank, width] = factors.dims();
        kernel
            .matmul(factors.reshape([terms, side, width]))
            .reshape([rank, width])
    }
}
