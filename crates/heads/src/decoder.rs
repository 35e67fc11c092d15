//! The trait of decoders.

use burn::module::Module;
use burn::tensor::Tensor;
use gradway_backbone::Phase;
use gradway_kernels::KernelBackend;

/// A module that turns stage features into a map of logits.
pub trait Decoder<B: KernelBackend>: Module<B> {
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    /// - output: `[batch, classes, height, width]` at the decoder's own resolution
    fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Tensor<B, 4>;
}
