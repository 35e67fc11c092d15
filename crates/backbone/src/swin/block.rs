//! A Swin block: window attention and an MLP, each after a layer norm and with a residual add.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, add, feed_forward, linear};

use super::attention::WindowAttention;
use super::{SwinConfig, norm, normalise};
use crate::access::{Access, BlockAccess, Point};
use crate::drop_path::DropPath;
use crate::mlp::Mlp;
use crate::operation::Operation;
use crate::transformer::TransformerBlock;

/// A Swin block (Swin, equation 3).
#[derive(Module, Debug)]
pub struct SwinBlock<B: Backend> {
    /// `[channels]`
    pub norm1: LayerNorm<B>,
    /// Attention branch.
    pub attn: WindowAttention<B>,
    /// `[channels]`
    pub norm2: LayerNorm<B>,
    /// MLP branch.
    pub mlp: Mlp<B>,
    /// Whether the windows are shifted by half their side.
    pub shifted: bool,
    /// Probability of dropping a branch for an image in training.
    pub drop_path: f64,
}

impl<B: Backend> SwinBlock<B> {
    pub(super) fn new(
        config: &SwinConfig,
        channels: usize,
        heads: usize,
        index: usize,
        position: f64,
        device: &B::Device,
    ) -> Self {
        let hidden = config.mlp_ratio * channels;
        Self {
            norm1: norm(channels, device),
            attn: WindowAttention::new(channels, heads, config.window, device),
            norm2: norm(channels, device),
            mlp: Mlp::new(channels, hidden, device),
            shifted: index % 2 == 1,
            drop_path: config.drop_path * position,
        }
    }

    pub(super) fn hidden(&self) -> usize {
        self.mlp.hidden()
    }

    pub(super) fn channels(&self) -> usize {
        self.norm1.gamma.dims()[0]
    }
}

impl<B: KernelBackend> SwinBlock<B> {
    /// # Shapes
    ///
    /// - `x`, output: `[batch, height, width, channels]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 4>,
        pad_first: bool,
        drop_path: &mut DropPath,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let input = x.clone();
        let normed = access.at(Point::AttentionNorm, &x, normalise(&self.norm1, x.clone()));
        let branch = self.attn.forward(normed, self.shifted, pad_first, access);
        let branch = access.at(Point::Attention, &x, branch);
        let x = add(drop_path.apply(branch, self.drop_path), x);
        let x = access.at(Point::AttentionResidual, &input, x);

        let normed = access.at(Point::MlpNorm, &x, normalise(&self.norm2, x.clone()));
        let branch = self.mlp.forward(normed, access);
        let branch = access.at(Point::Mlp, &x, branch);
        let x = add(drop_path.apply(branch, self.drop_path), x);
        access.at(Point::Block, &input, x)
    }
}

impl<B: Backend> SwinBlock<B> {
    /// Returns the operation whose output is at an access point of the block.
    pub(super) fn operation(&mut self, point: Point) -> Option<Operation<'_, B>> {
        match point {
            Point::AttentionNorm => Some(Operation::Norm(&mut self.norm1)),
            Point::QueryKeyValue => Some(Operation::Linear(&mut self.attn.qkv)),
            Point::Projection => Some(Operation::Linear(&mut self.attn.proj)),
            Point::MlpNorm => Some(Operation::Norm(&mut self.norm2)),
            Point::MlpIn => Some(Operation::Linear(&mut self.mlp.fc1)),
            Point::MlpOut => Some(Operation::Linear(&mut self.mlp.fc2)),
            _ => None,
        }
    }
}

impl<B: KernelBackend> TransformerBlock<B> for SwinBlock<B> {
    fn before_mlp(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        normalise(&self.norm2, x)
    }

    fn tokens_query_key_value(&self, tokens: Tensor<B, 3>) -> Tensor<B, 3> {
        apply(&self.attn.qkv, normalise(&self.norm1, tokens))
    }

    fn tokens_after_attention(&self, tokens: Tensor<B, 3>, mixed: Tensor<B, 3>) -> Tensor<B, 3> {
        let tokens = add(apply(&self.attn.proj, mixed), tokens);
        let normed = normalise(&self.norm2, tokens.clone());
        add(feed_forward(normed, self.mlp.layers()), tokens)
    }
}

fn apply<B: KernelBackend>(layer: &Linear<B>, x: Tensor<B, 3>) -> Tensor<B, 3> {
    linear(x, layer.weight.val(), layer.bias.as_ref().map(Param::val))
}
