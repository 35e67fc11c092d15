//! What the blocks of all transformers have in common.

use burn::tensor::Tensor;
use gradway_kernels::KernelBackend;

/// A block of attention and an MLP, each behind a norm and a residual add, as methods run it beside the map.
///
/// A block knows whatever else is in its branches, so that a method need not.
pub trait TransformerBlock<B: KernelBackend> {
    /// The norm before the MLP.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[batch, height, width, channels]`
    fn before_mlp(&self, x: Tensor<B, 4>) -> Tensor<B, 4>;

    /// Queries, keys and values of tokens that are at no position of the map.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[batch, tokens, channels]`
    /// - output: `[batch, tokens, 3 * channels]`
    fn tokens_query_key_value(&self, tokens: Tensor<B, 3>) -> Tensor<B, 3>;

    /// The block's output of tokens that attention has made `mixed` of, without stochastic depth.
    ///
    /// # Shapes
    ///
    /// - `tokens`, `mixed`, output: `[batch, tokens, channels]`
    fn tokens_after_attention(&self, tokens: Tensor<B, 3>, mixed: Tensor<B, 3>) -> Tensor<B, 3>;
}
