//! Access points: the points of a forward pass at which a tuning method may read or change a tensor.
//!
//! A backbone does not depend on any method. It runs its blocks and passes the tensor at each [`Site`] to an
//! [`Access`], which returns the tensor to continue with.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, Rotations, Windows, self_attention, window_attention};

/// The kind of tensor at an access point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// Output of the patch embedding's convolution, before its norm.
    Patches,
    /// Output of the patch embedding or stem, before the first block.
    Embedding,
    /// The norm before attention.
    AttentionNorm,
    /// The fused projection to queries, keys and values, `[batch, height, width, 3 * channels]`; in a Swin of a map
    /// padded to whole windows.
    QueryKeyValue,
    /// The projection that ends attention; its input is the concatenated output of the heads, without padding.
    Projection,
    /// Output of the attention branch, before its residual add.
    Attention,
    /// The residual stream after the attention branch's residual add.
    AttentionResidual,
    /// The norm before an MLP.
    MlpNorm,
    /// A depthwise convolution before the norm of an MLP.
    Depthwise,
    /// The first layer of an MLP, before its activation; passed only if [`Access::reads_mlp`] is true.
    MlpIn,
    /// The second layer of an MLP; its input is the activation's output. Passed only as [`Point::MlpIn`].
    MlpOut,
    /// Output of the MLP branch, before its residual add.
    Mlp,
    /// Output of a convolutional block's branch, before its residual add (where it has one). In a ConvNeXt the branch
    /// ends in an MLP.
    Convolution,
    /// Output of a block: the residual stream after its last residual add.
    Block,
    /// Output of a section, before the transition to the next one. In a plain vision transformer it is the map of the
    /// patches, and what is returned is the stage's output alone.
    Section,
    /// The norm of the transition to a section, in a Swin over the channels of four neighbours.
    MergingNorm,
    /// Output of the transition to a section, before its first block.
    Merging,
}

impl Point {
    /// Whether the point is the output of a branch, where adapters are inserted.
    pub fn is_branch(self) -> bool {
        matches!(self, Self::Attention | Self::Mlp | Self::Convolution)
    }
}

/// An access point in the network: its kind, its section (see [`Section`](crate::Section)) and its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Site {
    /// The kind of tensor.
    pub point: Point,
    /// Index of the section.
    pub section: usize,
    /// Index of the block in its section; 0 for points that are not inside a block.
    pub block: usize,
}

/// Reads or changes the tensors at the access points of a backbone.
///
/// `input` is the input of the sub-module at the site and `output` its output, which the returned tensor
/// replaces. Maps have four axes in the backbone's own layout ([`Description::axis`](crate::Description)). The tokens of a
/// plain vision transformer are a map of one row.
pub trait Access<B: Backend> {
    /// Called once per site and forward pass, in the order of computation.
    fn at(&mut self, site: Site, input: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4>;

    /// Whether the access uses the points inside an MLP. If not, its layers run as one operator, which does not
    /// store the wide map between them.
    fn reads_mlp(&self) -> bool {
        false
    }

    /// Computes the window attention of [`Point::QueryKeyValue`]. A method overrides it to add tokens to the windows.
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

    /// Computes the attention among all tokens of [`Point::QueryKeyValue`]. A method overrides it to add tokens.
    ///
    /// # Shapes
    ///
    /// As [`self_attention`].
    fn attend_globally(
        &mut self,
        _section: usize,
        _block: usize,
        qkv: Tensor<B, 3>,
        heads: usize,
        rotations: Option<Rotations<B>>,
    ) -> Tensor<B, 3>
    where
        B: KernelBackend,
    {
        self_attention(qkv, heads, rotations)
    }
}

/// An access restricted to one block, or to the points outside of blocks.
#[derive(Debug)]
pub struct BlockAccess<'a, A> {
    access: &'a mut A,
    section: usize,
    block: usize,
}

impl<'a, A> BlockAccess<'a, A> {
    /// Restricts an access to a block. Points outside of blocks are those of block 0.
    pub fn new(access: &'a mut A, section: usize, block: usize) -> Self {
        Self {
            access,
            section,
            block,
        }
    }

    /// Passes the tensor at a point of the block; see [`Access::at`].
    pub fn at<B: Backend>(
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

    /// As [`Access::attend`].
    pub fn attend<B: KernelBackend>(
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

    /// As [`Access::attend_globally`].
    pub fn attend_globally<B: KernelBackend>(
        &mut self,
        qkv: Tensor<B, 3>,
        heads: usize,
        rotations: Option<Rotations<B>>,
    ) -> Tensor<B, 3>
    where
        A: Access<B>,
    {
        let (section, block) = (self.section, self.block);
        self.access
            .attend_globally(section, block, qkv, heads, rotations)
    }

    /// As [`Access::reads_mlp`].
    pub fn reads_mlp<B: Backend>(&self) -> bool
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
