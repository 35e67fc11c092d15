//! The interface of transformer blocks, and the initialisation of their layers.

use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::KernelBackend;

/// A block of attention and an MLP, each after a norm and with a residual add, for methods that run further
/// tokens or streams through it.
///
/// The block applies all other layers of its branches, so that a method does not depend on them.
pub trait TransformerBlock<B: KernelBackend> {
    /// Applies the norm before the MLP.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[batch, height, width, channels]`
    fn before_mlp(&self, x: Tensor<B, 4>) -> Tensor<B, 4>;

    /// Returns queries, keys and values of tokens that are not positions of the map.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[batch, tokens, channels]`
    /// - output: `[batch, tokens, 3 * channels]`
    fn tokens_query_key_value(&self, tokens: Tensor<B, 3>) -> Tensor<B, 3>;

    /// Returns the block's output for tokens whose attention output is `mixed`, without stochastic depth.
    ///
    /// # Shapes
    ///
    /// - `tokens`, `mixed`, output: `[batch, tokens, channels]`
    fn tokens_after_attention(&self, tokens: Tensor<B, 3>, mixed: Tensor<B, 3>) -> Tensor<B, 3>;
}

/// The initialisation of a transformer's weights.
pub(crate) fn truncated_normal() -> Initializer {
    Initializer::Normal {
        mean: 0.0,
        std: 0.02,
    }
}

/// Creates a linear layer with weights as timm initialises them and a bias of zeros.
pub(crate) fn linear_layer<B: Backend>(
    inputs: usize,
    outputs: usize,
    device: &B::Device,
) -> Linear<B> {
    let mut layer = LinearConfig::new(inputs, outputs)
        .with_initializer(truncated_normal())
        .init(device);
    layer.bias = Some(Initializer::Zeros.init([outputs], device));
    layer
}
