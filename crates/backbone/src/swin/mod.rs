//! Swin Transformer (Liu et al. 2021, arXiv 2103.14030).
//!
//! Any image size: the patch embedding, every window partition and every patch merging pad their input at the
//! right and bottom with zeros, as the detection Swin does. A map is not shifted along an axis whose side
//! fits in one window, as in timm and torchvision. A map that is not a multiple of its window is shifted and then padded as in timm,
//! or the other way round ([`SwinConfig::pad_first`]). Maps are `[batch, height, width, channels]`; access
//! points see them in that order.

mod attention;
mod block;
mod import;
mod merging;
mod origin;
mod variants;

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{
    Activation, ChannelAxis, ConvolutionOptions, KernelBackend, Lift, channels_last, convolution,
    layer_norm, pad,
};

use crate::access::{Access, BlockAccess, Point, Site};
use crate::backbone::Backbone;
use crate::description::{Description, Operations, Section};
use crate::drop_path::Phase;
use crate::operation::Operation;
use crate::transformer::TransformerBlock;

pub use crate::mlp::Mlp;
pub use attention::WindowAttention;
pub use block::SwinBlock;
pub use merging::PatchMerging;
pub(crate) use variants::{SwinVariant, VARIANTS};

/// Side of a patch in pixels.
const PATCH: usize = 4;
/// Epsilon of every layer norm, PyTorch's default.
const EPSILON: f64 = 1e-5;

/// Configuration of a [`Swin`].
#[derive(Config, Debug)]
pub struct SwinConfig {
    /// Number of channels of the first stage; each stage doubles it.
    pub channels: usize,
    /// Number of blocks of each stage.
    pub depths: Vec<usize>,
    /// Number of attention heads of each stage.
    pub heads: Vec<usize>,
    /// Side of an attention window, in map positions.
    #[config(default = 7)]
    pub window: usize,
    /// Ratio of the hidden channels of the MLP to its channels.
    #[config(default = 4)]
    pub mlp_ratio: usize,
    /// Stochastic depth rate of the last block; the rate grows linearly from 0 at the first block.
    #[config(default = 0.0)]
    pub drop_path: f64,
    /// Whether maps are padded before they are shifted, as in Microsoft's detection code, mmdetection and
    /// torchvision; otherwise after, as in timm. The two differ if a map is not a multiple of the window.
    #[config(default = false)]
    pub pad_first: bool,
}

/// A stage of a [`Swin`].
#[derive(Module, Debug)]
pub struct SwinStage<B: Backend> {
    /// Transition from the stage before; `None` in the first stage.
    pub downsample: Option<PatchMerging<B>>,
    /// Blocks, alternately regular and shifted.
    pub blocks: Vec<SwinBlock<B>>,
}

/// The patch embedding: a convolution of stride 4 and a layer norm.
#[derive(Module, Debug)]
pub struct PatchEmbed<B: Backend> {
    /// `[channels, 3, 4, 4]`
    pub proj: Conv2d<B>,
    /// `[channels]`
    pub norm: LayerNorm<B>,
}

/// Swin Transformer without a classifier. See the [module](self) for its conventions.
#[derive(Module, Debug)]
pub struct Swin<B: Backend> {
    /// Patch embedding of the image, to `[batch, height / 4, width / 4, channels]`.
    pub patch_embed: PatchEmbed<B>,
    /// Stages in order.
    pub layers: Vec<SwinStage<B>>,
    /// Whether maps are padded before they are shifted.
    pub pad_first: bool,
}

impl SwinConfig {
    /// Initialises the network as timm: a truncated normal distribution with standard deviation 0.02 for linear
    /// weights, zeros for biases.
    ///
    /// # Panics
    ///
    /// If `depths` and `heads` differ in length or a stage's channels are not a multiple of its heads; the
    /// variants of the table are valid.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Swin<B> {
        assert_eq!(
            self.depths.len(),
            self.heads.len(),
            "one head count per stage"
        );
        let patch_embed = PatchEmbed {
            proj: Conv2dConfig::new([3, self.channels], [PATCH, PATCH])
                .with_stride([PATCH, PATCH])
                .init(device),
            norm: norm(self.channels, device),
        };
        let total: usize = self.depths.iter().sum();
        let mut before = 0;
        let layers = self
            .depths
            .iter()
            .zip(&self.heads)
            .enumerate()
            .map(|(stage, (&depth, &heads))| {
                let channels = self.channels << stage;
                let blocks = (0..depth)
                    .map(|block| {
                        let position = (before + block) as f64 / (total - 1).max(1) as f64;
                        SwinBlock::new(self, channels, heads, block, position, device)
                    })
                    .collect();
                before += depth;
                SwinStage {
                    downsample: (stage > 0).then(|| PatchMerging::new(channels / 2, device)),
                    blocks,
                }
            })
            .collect();
        Swin {
            patch_embed,
            layers,
            pad_first: self.pad_first,
        }
    }
}

impl<B: KernelBackend> Swin<B> {
    /// Embeds the patches of images and normalises them.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`
    /// - output: `[batch, ceil(height / 4), ceil(width / 4), channels]`
    fn embed(
        &self,
        images: Tensor<B, 4>,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let [_, _, height, width] = images.dims();
        let images = pad_bottom_right(
            images,
            [2, 3],
            [
                height.next_multiple_of(PATCH),
                width.next_multiple_of(PATCH),
            ],
        );
        let options = ConvolutionOptions {
            stride: PATCH,
            padding: [[0, 0], [0, 0]],
            groups: 1,
            activation: Activation::Identity,
        };
        let layer = &self.patch_embed.proj;
        let bias = layer.bias.as_ref().map(Param::val);
        let patches = convolution(images.clone(), layer.weight.val(), bias, options);
        let patches = channels_last(patches, ChannelAxis::First);
        let patches = access.at(Point::Patches, &images, patches);
        let normed = normalise(&self.patch_embed.norm, patches);
        access.at(Point::Embedding, &images, normed)
    }
}

impl<B: KernelBackend> Backbone<B> for Swin<B> {
    fn description(&self) -> Description {
        let sections = self
            .layers
            .iter()
            .enumerate()
            .map(|(stage, layer)| Section {
                channels: layer.blocks[0].channels(),
                hidden: Some(layer.blocks[0].hidden()),
                stride: PATCH << stage,
                blocks: layer.blocks.len(),
                stage: Some(stage),
            });
        Description {
            axis: ChannelAxis::Last,
            sections: sections.collect(),
            branches: vec![Point::Attention, Point::Mlp],
            operations: Operations {
                embedding: vec![Point::Patches, Point::Embedding],
                transition: vec![Point::MergingNorm, Point::Merging],
                block: vec![
                    Point::AttentionNorm,
                    Point::QueryKeyValue,
                    Point::Projection,
                    Point::MlpNorm,
                    Point::MlpIn,
                    Point::MlpOut,
                ],
            },
            has_tokens: false,
            batch_norms: false,
        }
    }

    fn block_path(&self, section: usize, block: usize) -> String {
        format!("layers.{section}.blocks.{block}")
    }

    fn transition_path(&self, section: usize) -> Option<String> {
        (section > 0).then(|| format!("layers.{section}.downsample"))
    }

    fn operation(&mut self, site: Site) -> Option<Operation<'_, B>> {
        match site.point {
            Point::Patches => {
                let layer = &mut self.patch_embed.proj;
                return Some(Operation::Convolution {
                    weight: &mut layer.weight,
                    bias: &mut layer.bias,
                });
            }
            Point::Embedding => return Some(Operation::Norm(&mut self.patch_embed.norm)),
            _ => {}
        }
        let stage = self.layers.get_mut(site.section)?;
        match (site.point, stage.downsample.as_mut()) {
            (Point::MergingNorm, Some(merging)) => Some(Operation::Norm(&mut merging.norm)),
            (Point::Merging, Some(merging)) => Some(Operation::Linear(&mut merging.reduction)),
            (point, _) => stage.blocks.get_mut(site.block)?.operation(point),
        }
    }

    fn transformer_block(&self, section: usize, block: usize) -> Option<&dyn TransformerBlock<B>> {
        let block = self.layers.get(section)?.blocks.get(block)?;
        Some(block)
    }

    fn forward(
        &self,
        images: Tensor<B, 4>,
        phase: Phase,
        access: &mut impl Access<B>,
    ) -> Vec<Tensor<B, 4>> {
        let mut outside = BlockAccess::new(access, 0, 0);
        let mut x = self.embed(images, &mut outside);
        let mut drop_path = phase.drop_path();
        let mut outputs = Vec::with_capacity(self.layers.len());
        for (section, layer) in self.layers.iter().enumerate() {
            if let Some(downsample) = &layer.downsample {
                x = downsample.forward(x, &mut BlockAccess::new(access, section, 0));
            }
            for (block, module) in layer.blocks.iter().enumerate() {
                let mut inside = BlockAccess::new(access, section, block);
                x = module.forward(x, self.pad_first, &mut drop_path, &mut inside);
            }
            let mut outside = BlockAccess::new(access, section, 0);
            x = outside.at(Point::Section, &x.clone(), x);
            outputs.push(x.clone());
        }
        outputs
    }

    fn transition<T: KernelBackend, L: Lift<B, T>>(
        &self,
        section: usize,
        highway: Tensor<T, 4>,
    ) -> Tensor<T, 4> {
        let next = self.layers.get(section + 1);
        match next.and_then(|stage| stage.downsample.as_ref()) {
            Some(downsample) => downsample.forward_lifted::<T, L>(highway),
            None => highway,
        }
    }
}

/// Pads two axes at their ends with zeros.
fn pad_bottom_right<B: Backend>(
    x: Tensor<B, 4>,
    axes: [usize; 2],
    size: [usize; 2],
) -> Tensor<B, 4> {
    let mut padding = [(0, 0); 4];
    for (axis, size) in axes.into_iter().zip(size) {
        padding[axis].1 = size - x.dims()[axis];
    }
    pad(x, padding)
}

/// A layer norm with Swin's epsilon.
fn norm<B: Backend>(channels: usize, device: &B::Device) -> LayerNorm<B> {
    LayerNormConfig::new(channels)
        .with_epsilon(EPSILON)
        .init(device)
}

/// Applies a Burn layer norm with [`layer_norm`].
fn normalise<B: KernelBackend, const D: usize>(
    norm: &LayerNorm<B>,
    x: Tensor<B, D>,
) -> Tensor<B, D> {
    let gamma = norm.gamma.val();
    let beta = match &norm.beta {
        Some(beta) => beta.val(),
        None => gamma.zeros_like(),
    };
    layer_norm(x, gamma, beta, EPSILON)
}
