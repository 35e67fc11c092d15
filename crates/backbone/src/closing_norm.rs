//! The norm between the last stage and a classifier.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The layer norm behind the last block, which a classifier reads. No stage passes it, so nothing computes it; its
/// parameters are kept for the files that have them.
#[derive(Module, Debug)]
pub struct ClosingNorm<B: Backend> {
    /// `[channels]`
    pub gamma: Param<Tensor<B, 1>>,
    /// `[channels]`
    pub beta: Param<Tensor<B, 1>>,
}

impl<B: Backend> ClosingNorm<B> {
    /// Creates the norm with scale 1 and shift 0.
    pub fn new(channels: usize, device: &B::Device) -> Self {
        Self {
            gamma: Initializer::Ones.init([channels], device),
            beta: Initializer::Zeros.init([channels], device),
        }
    }
}
