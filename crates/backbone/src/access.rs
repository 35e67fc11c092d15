//! Access points: the places of a forward pass that a tuning method may observe or change.
//!
//! A backbone knows no method. It walks its blocks and hands the tensor at each [`Site`] to an
//! [`Access`], which answers with the tensor to go on with.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, Windows, window_attention};

/// What kind of tensor is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// Output of the patch embedding's convolution, before its norm.
    Patches,
    /// Output of the patch embedding or stem, before the first block.
    Embedding,
    /// The norm before attention.
    AttentionNorm,
    /// The fused projection to queries, keys and values of a map padded to whole windows:
    /// `[batch, height, width, 3 * channels]`.
    QueryKeyValue,
    /// The projection that ends attention; its input is what the heads mixed, without padding.
    Projection,
    /// Output of the attention branch, before its residual add.
    Attention,
    /// Stream after the attention branch's residual add.
    AttentionResidual,
    /// The norm before an MLP.
    MlpNorm,
    /// The first layer of an MLP, before its activation; only for who [reads](Access::reads_mlp) it.
    MlpIn,
    /// The second layer of an MLP; its input is the activation's output. As [`Point::MlpIn`].
    MlpOut,
    /// Output of the MLP branch, before its residual add.
    Mlp,
    /// Output of a convolutional block's branch, before its residual add (where it has one).
    Convolution,
    /// Output of a block: the stream after its last residual add.
    Block,
    /// Output of a section, before the transition to the next one.
    Section,
    /// The norm of the transition to a section, over the channels of four neighbours.
    MergingNorm,
    /// Output of the transition to a section, before its first block.
    Merging,
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

    /// Whether the points inside an MLP are wanted; its layers are one operator where they are not,
    /// and the wide map between them need not exist.
    fn reads_mlp(&self) -> bool {
        false
    }

    /// What comes of [`Point::QueryKeyValue`] by attention inside windows, for who lets more take part
    /// in it than the positions of a window.
    ///
    /// # Shapes
    ///
    /// As [`window_attention`].
    fn attend(
        &mut self,
        _section: usize,
        _block: usize,
        qkv: Tensor<B, 4>,
        table: Tensor<B, 2>,
        windows: Windows,
    ) -> Tensor<B, 4>
    where
        B: KernelBackend,
    {
        window_attention(qkv, table, windows)
    }
}

/// The access to the points of one block, or outside of blocks.
pub(crate) struct BlockAccess<'a, A> {
    pub(crate) access: &'a mut A,
    pub(crate) section: usize,
    pub(crate) block: usize,
}

impl<'a, A> BlockAccess<'a, A> {
    pub(crate) fn new(access: &'a mut A, section: usize, block: usize) -> Self {
        Self {
            access,
            section,
            block,
        }
    }

    pub(crate) fn at<B: Backend>(
        &mut self,
        point: Point,
        input: &Tensor<B, 4>,
        output: Tensor<B, 4>,
    ) -> Tensor<B, 4>
    where
        A: Access<B>,
    {
        let site = Site {
            point,
            section: self.section,
            block: self.block,
        };
        self.access.at(site, input, output)
    }

    pub(crate) fn attend<B: KernelBackend>(
        &mut self,
        qkv: Tensor<B, 4>,
        table: Tensor<B, 2>,
        windows: Windows,
    ) -> Tensor<B, 4>
    where
        A: Access<B>,
    {
        let (section, block) = (self.section, self.block);
        self.access.attend(section, block, qkv, table, windows)
    }

    pub(crate) fn reads_mlp<B: Backend>(&self) -> bool
    where
        A: Access<B>,
    {
        self.access.reads_mlp()
    }
}

/// Changes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Untouched;

impl<B: Backend> Access<B> for Untouched {
    fn at(&mut self, _: Site, _: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        output
    }
}
