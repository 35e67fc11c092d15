//! Plain vision transformers (Dosovitskiy et al. 2020, arXiv 2010.11929): DINOv2, DINOv3, and those of AugReg and MAE.
//!
//! The stream is a class token, register tokens (Darcet et al. 2023, arXiv 2309.16588) and the patches row by row,
//! `[batch, 1, tokens, channels]` at the access points. A stage is a quarter of the blocks; its output is the map of the
//! patches, `[batch, height, width, channels]`, before the final norm. Every stage has the stride of a patch.
//!
//! Any image size: an image whose sides are no multiples of the patch is padded with zeros at the right and bottom.
//! Learnt positions are resampled to the grid of the image ([`Resampling`]); DINOv3 rotates queries and keys instead.

mod attention;
mod block;
mod import;
mod origin;
mod rotation;
mod variants;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{
    Activation, ChannelAxis, ConvolutionOptions, KernelBackend, Lift, channels_last, convolution,
    pad,
};

use crate::access::{Access, BlockAccess, Point, Site};
use crate::backbone::Backbone;
use crate::closing_norm::ClosingNorm;
use crate::description::{Description, Operations, Section};
use crate::drop_path::Phase;
use crate::operation::Operation;
use crate::resampling::Resampling;
use crate::transformer::{TransformerBlock, truncated_normal};

pub use crate::layer_scale::LayerScale;
pub use attention::Attention;
pub use block::{Mlp, VitBlock};
pub(crate) use variants::{VARIANTS, VitVariant};

/// Number of stages.
const STAGES: usize = 4;

/// How a token knows its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// Learnt embeddings of a square grid with this side, added to the patches and to the class token.
    Learnt {
        /// Patches along a side of the images of pre-training.
        side: usize,
        /// Whether the class token has one too.
        class: bool,
    },
    /// Rotations of queries and keys, computed from the positions (RoPE, as in DINOv3).
    Rotary,
}

/// Configuration of a [`Vit`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VitConfig {
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Number of channels.
    pub channels: usize,
    /// Number of attention heads.
    pub heads: usize,
    /// Number of blocks, a multiple of four.
    pub blocks: usize,
    /// Number of register tokens.
    pub registers: usize,
    /// How a token knows its place.
    pub positions: Positions,
    /// Epsilon of every layer norm.
    pub epsilon: f64,
    /// Whether branches are scaled by channel (LayerScale).
    pub layer_scale: bool,
    /// Whether the MLP is a SwiGLU instead of two layers with GELU.
    pub swiglu: bool,
    /// Whether the projection to queries, keys and values has a bias.
    pub qkv_bias: bool,
    /// Whether images are normalised to -1..1, as those of AugReg, and not with ImageNet's mean and deviation.
    pub halves: bool,
    /// How learnt positions are resampled; if `None`, as the publisher of a weight file does it.
    pub resampling: Option<Resampling>,
    /// Stochastic depth rate of the last block; the rate grows linearly from 0 at the first block.
    pub drop_path: f64,
}

/// The patch embedding: a convolution whose stride is its kernel.
#[derive(Module, Debug)]
pub struct PatchEmbed<B: Backend> {
    /// `[channels, 3, patch, patch]`
    pub proj: Conv2d<B>,
}

/// A plain vision transformer without a classifier. See the [module](self) for its conventions.
///
/// Its parameters have timm's names.
#[derive(Module, Debug)]
pub struct Vit<B: Backend> {
    /// `[1, 1, channels]`
    pub cls_token: Param<Tensor<B, 3>>,
    /// `[1, registers, channels]`
    pub reg_token: Option<Param<Tensor<B, 3>>>,
    /// Learnt positions, `[1, side * side, channels]`, with one more in front if the class token has one.
    pub pos_embed: Option<Param<Tensor<B, 3>>>,
    /// Patch embedding of the image.
    pub patch_embed: PatchEmbed<B>,
    /// Blocks in order.
    pub blocks: Vec<VitBlock<B>>,
    /// The norm that closes the network.
    pub norm: ClosingNorm<B>,
    /// Patches along a side of the learnt positions.
    pub side: usize,
    /// How learnt positions are resampled.
    #[module(skip)]
    pub resampling: Resampling,
    /// Whether a weight file decides how they are resampled.
    pub(crate) is_resampling_open: bool,
    /// Whether its images are normalised to -1..1.
    pub(crate) halves: bool,
}

impl VitConfig {
    /// Initialises the network as timm: a truncated normal distribution with standard deviation 0.02 for linear
    /// weights, zeros for biases.
    ///
    /// # Panics
    ///
    /// If the channels are no multiple of the heads or the blocks none of four; the variants of the table are valid.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Vit<B> {
        assert_eq!(
            self.channels % self.heads,
            0,
            "channels are a multiple of heads"
        );
        assert_eq!(
            self.blocks % STAGES,
            0,
            "blocks are a multiple of the stages"
        );
        let (side, positions) = match self.positions {
            Positions::Learnt { side, class } => (side, side * side + usize::from(class)),
            Positions::Rotary => (0, 0),
        };
        let last = (self.blocks - 1).max(1) as f64;
        let block = |index| VitBlock::new(self, index as f64 / last, device);
        Vit {
            cls_token: truncated_normal().init([1, 1, self.channels], device),
            reg_token: (self.registers > 0)
                .then(|| truncated_normal().init([1, self.registers, self.channels], device)),
            pos_embed: (positions > 0)
                .then(|| truncated_normal().init([1, positions, self.channels], device)),
            patch_embed: PatchEmbed {
                proj: Conv2dConfig::new([3, self.channels], [self.patch; 2])
                    .with_stride([self.patch; 2])
                    .init(device),
            },
            blocks: (0..self.blocks).map(block).collect(),
            norm: ClosingNorm::new(self.channels, device),
            side,
            resampling: self.resampling.unwrap_or_default(),
            is_resampling_open: self.resampling.is_none(),
            halves: self.halves,
        }
    }
}

impl<B: Backend> Vit<B> {
    /// Side of a patch in pixels.
    fn patch(&self) -> usize {
        self.patch_embed.proj.kernel_size[0]
    }

    /// Number of tokens in front of the patches.
    fn prefix(&self) -> usize {
        let registers = self.reg_token.as_ref();
        1 + registers.map_or(0, |tokens| tokens.lazy_shape()[1])
    }

    /// Number of blocks of a stage.
    fn depth(&self) -> usize {
        self.blocks.len() / STAGES
    }
}

impl<B: KernelBackend> Vit<B> {
    /// Embeds the patches of images.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`
    /// - output: `[batch, ceil(height / patch), ceil(width / patch), channels]`
    fn embed(
        &self,
        images: Tensor<B, 4>,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let patch = self.patch();
        let [_, _, height, width] = images.dims();
        let missing = [height, width].map(|side| side.next_multiple_of(patch) - side);
        let images = pad(images, [(0, 0), (0, 0), (0, missing[0]), (0, missing[1])]);
        let options = ConvolutionOptions {
            stride: patch,
            padding: [[0, 0], [0, 0]],
            groups: 1,
            activation: Activation::Identity,
        };
        let layer = &self.patch_embed.proj;
        let bias = layer.bias.as_ref().map(Param::val);
        let patches = convolution(images.clone(), layer.weight.val(), bias, options);
        let patches = channels_last(patches, ChannelAxis::First);
        access.at(Point::Patches, &images, patches)
    }

    /// Adds the learnt positions and puts the class and register tokens in front.
    ///
    /// # Shapes
    ///
    /// - `patches`: `[batch, height, width, channels]`
    /// - output: `[batch, 1, tokens, channels]`
    fn tokens(&self, patches: Tensor<B, 4>) -> Tensor<B, 4> {
        let [batch, height, width, channels] = patches.dims();
        let count = height * width;
        let mut class = self.cls_token.val();
        let mut patches = patches.reshape([batch, 1, count * channels]);
        if let Some(positions) = &self.pos_embed {
            let positions = positions.val();
            let learnt = self.side * self.side;
            let before = positions.dims()[1] - learnt;
            if before > 0 {
                class = class + positions.clone().narrow(1, 0, before);
            }
            let grid = positions
                .narrow(1, before, learnt)
                .reshape([self.side, self.side, channels]);
            let grid = self.resampling.resample(grid, [height, width]);
            // One row that all images share: the broadcast that is fast everywhere.
            patches = patches + grid.reshape([1, 1, count * channels]);
        }
        let mut parts = vec![class.repeat_dim(0, batch)];
        if let Some(registers) = &self.reg_token {
            parts.push(registers.val().repeat_dim(0, batch));
        }
        parts.push(patches.reshape([batch, count, channels]));
        Tensor::cat(parts, 1).unsqueeze_dim(1)
    }
}

impl<B: KernelBackend> Backbone<B> for Vit<B> {
    fn description(&self) -> Description {
        let section = |stage| Section {
            channels: self.norm.gamma.lazy_shape()[0],
            hidden: Some(self.blocks[0].hidden()),
            stride: self.patch(),
            blocks: self.depth(),
            stage: Some(stage),
        };
        Description {
            axis: ChannelAxis::Last,
            sections: (0..STAGES).map(section).collect(),
            branches: vec![Point::Attention, Point::Mlp],
            operations: Operations {
                embedding: vec![Point::Patches],
                transition: Vec::new(),
                block: vec![
                    Point::AttentionNorm,
                    Point::QueryKeyValue,
                    Point::Projection,
                    Point::MlpNorm,
                    Point::MlpIn,
                    Point::MlpOut,
                ],
            },
            has_tokens: true,
            batch_norms: false,
        }
    }

    fn block_path(&self, section: usize, block: usize) -> String {
        format!("blocks.{}", section * self.depth() + block)
    }

    fn operation(&mut self, site: Site) -> Option<Operation<'_, B>> {
        if site.point == Point::Patches {
            let layer = &mut self.patch_embed.proj;
            return Some(Operation::Convolution {
                weight: &mut layer.weight,
                bias: &mut layer.bias,
            });
        }
        let index = site.section * self.depth() + site.block;
        self.blocks.get_mut(index)?.operation(site.point)
    }

    fn transformer_block(&self, section: usize, block: usize) -> Option<&dyn TransformerBlock<B>> {
        let block = self.blocks.get(section * self.depth() + block)?;
        Some(block)
    }

    fn forward(
        &self,
        images: Tensor<B, 4>,
        phase: Phase,
        access: &mut impl Access<B>,
    ) -> Vec<Tensor<B, 4>> {
        let mut outside = BlockAccess::new(access, 0, 0);
        let patches = self.embed(images.clone(), &mut outside);
        let [_, height, width, _] = patches.dims();
        let tokens = self.tokens(patches);
        let mut x = outside.at(Point::Embedding, &images, tokens);
        drop(images);
        let rotations = self.rotations([height, width], &x.device());
        let mut drop_path = phase.drop_path();
        let mut outputs = Vec::with_capacity(STAGES);
        for (section, blocks) in self.blocks.chunks(self.depth()).enumerate() {
            for (block, module) in blocks.iter().enumerate() {
                let mut inside = BlockAccess::new(access, section, block);
                x = module.forward(x, rotations.as_ref(), &mut drop_path, &mut inside);
            }
            let mut outside = BlockAccess::new(access, section, 0);
            let map = self.stage_map(x.clone(), [height, width]);
            outputs.push(outside.at(Point::Section, &x, map));
        }
        outputs
    }

    fn stage_map<T: KernelBackend>(
        &self,
        stream: Tensor<T, 4>,
        [height, width]: [usize; 2],
    ) -> Tensor<T, 4> {
        let [batch, _, _, channels] = stream.dims();
        stream
            .narrow(2, self.prefix(), height * width)
            .reshape([batch, height, width, channels])
    }

    fn transition<T: KernelBackend, L: Lift<B, T>>(
        &self,
        _section: usize,
        highway: Tensor<T, 4>,
    ) -> Tensor<T, 4> {
        highway
    }
}

/// A layer norm over the channels of a token.
fn norm<B: Backend>(config: &VitConfig, device: &B::Device) -> LayerNorm<B> {
    LayerNormConfig::new(config.channels)
        .with_epsilon(config.epsilon)
        .init(device)
}
