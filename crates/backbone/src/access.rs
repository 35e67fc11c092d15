//! Access points: the places of a forward pass that a tuning method may observe or change.
//!
//! A backbone knows no method. It walks its blocks and hands the tensor at each [`Site`] to an
//! [`Access`], which answers with the tensor to go on with.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// What kind of tensor is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// Output of the patch embedding or stem, before the first block.
    Embedding,
    /// The fused projection to queries, keys and values, per window:
    /// `[batch * windows, side, side, 3 * channels]`.
    QueryKeyValue,
    /// Output of the attention branch, before its residual add.
    Attention,
    /// Stream after the attention branch's residual add.
    AttentionResidual,
    /// Output of the MLP branch, before its residual add.
    Mlp,
    /// Output of a convolutional block's branch, before its residual add (where it has one).
    Convolution,
    /// Output of a block: the stream after its last residual add.
    Block,
    /// Output of a section, before the transition to the next one.
    Section,
}

impl Point {
    /// The block-level points that end a branch: where adapters sit.
    pub fn is_branch(self) -> bool {
        matches!(self, Self::Attention | Self::Mlp | Self::Convolution)
    }
}

/// Where in the network: a point, the section (see [`Section`](crate::Section)) and the block in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Site {
    /// What is handed over.
    pub point: Point,
    /// Index of the section.
    pub section: usize,
    /// Index of the block in its section; 0 for points that are not inside a block.
    pub block: usize,
}

/// Observes or changes what passes the access points of a backbone.
///
/// `input` is what the sub-module at the site received, `output` what it made of it; the answer
/// replaces the output. Maps have four axes in the backbone's own order
/// ([`Description::axis`](crate::Description)).
pub trait Access<B: Backend> {
    /// Called once per site and forward pass, in the order of computation.
    fn at(&mut self, site: Site, input: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4>;
}

/// Changes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Untouched;

impl<B: Backend> Access<B> for Untouched {
    fn at(&mut self, _: Site, _: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        output
    }
}
