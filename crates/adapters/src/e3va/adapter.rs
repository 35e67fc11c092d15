//! The dual low-rank adapter.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{ChannelAxis, KernelBackend, LowRankWeights, low_rank_adapter};

use super::{E3vaConfig, Form, UpInit};

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
    pub(super) fn new(config: &E3vaConfig, channels: usize, device: &B::Device) -> Self {
        let rank = config.rank;
        let middle = (channels / config.reduction).max(1);
        let kaiming = |fan_in: usize, fan_out: usize| -> Param<Tensor<B, 2>> {
            Initializer::KaimingUniform {
                gain: 1.0 / 3f64.sqrt(),
                fan_out_only: false,
            }
            .init_with([fan_in, fan_out], Some(fan_in), Some(fan_out), device)
        };
        let side = rank / config.terms;
        Self {
            down_in: kaiming(channels, rank),
            down_out: kaiming(rank, middle),
            down_bias: Initializer::Zeros.init([middle], device),
            up_in: kaiming(middle, rank),
            up_out: match config.up_init {
                UpInit::Zero => Initializer::Zeros.init([rank, channels], device),
                UpInit::Kaiming => kaiming(rank, channels),
            },
            up_bias: Initializer::Zeros.init([channels], device),
            kernel: (config.form == Form::Kernel).then(|| {
                Initializer::KaimingUniform {
                    gain: 1.0 / 3f64.sqrt(),
                    fan_out_only: false,
                }
                .init_with(
                    [config.terms, side, side],
                    Some(side),
                    Some(side),
                    device,
                )
            }),
        }
    }
}

impl<B: KernelBackend> DualLowRankAdapter<B> {
    /// # Shapes
    ///
    /// - `z`, output: `[batch, height, width, channels]` or `[batch, channels, height, width]`, as
    ///   `axis` says
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

    /// `K_i Q_i`, stacked: `sum_i P_i K_i Q_i` is then a product of two factors like the plain
    /// form, and the full `[channels, middle]` matrix never exists.
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
