//! LayerScale: a branch scaled by channel before its residual add.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, layer_scale};

/// The scale of a branch by channel (LayerScale, Touvron et al. 2021, arXiv 2103.17239, equation 4).
#[derive(Module, Debug)]
pub struct LayerScale<B: Backend> {
    /// `[channels]`
    pub gamma: Param<Tensor<B, 1>>,
}

impl<B: Backend> LayerScale<B> {
    /// Creates a scale of `start` for every channel.
    pub(crate) fn new(channels: usize, start: f64, device: &B::Device) -> Self {
        Self {
            gamma: Initializer::Constant { value: start }.init([channels], device),
        }
    }
}

impl<B: KernelBackend> LayerScale<B> {
    /// Scales a branch.
    ///
    /// # Shapes
    ///
    /// - `branch`, output: `[batch, height, width, channels]`
    pub(crate) fn forward(&self, branch: Tensor<B, 4>) -> Tensor<B, 4> {
        layer_scale(branch, self.gamma.val())
    }
}
