//! ConvNeXt (Liu et al. 2022, arXiv 2201.03545), with the weights of ImageNet or of DINOv3.
//!
//! A block is a depthwise 7x7 convolution, a layer norm, and an MLP over channels, scaled by channel and added to its
//! input. Maps are `[batch, height, width, channels]`, since all but the convolutions work on channels; access points
//! see them in that order.
//!
//! Any image size: the convolutions of the stem and of the transitions, which have strides, pad a map at the right and
//! bottom with zeros where its side is no multiple of the stride. PyTorch's leave out what remains there.

mod block;
mod downsample;
mod import;
mod origin;
mod variants;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{
    Activation, ChannelAxis, ConvolutionOptions, KernelBackend, Lift, channels_last, convolution,
    layer_norm,
};

use crate::access::{Access, BlockAccess, Point, Site};
use crate::backbone::Backbone;
use crate::closing_norm::ClosingNorm;
use crate::description::{Description, Operations, Section};
use crate::drop_path::Phase;
use crate::operation::Operation;
use crate::transformer::truncated_normal;

pub use crate::layer_scale::LayerScale;
pub use crate::mlp::Mlp;
pub use block::ConvNextBlock;
pub use downsample::Downsample;
pub(crate) use variants::{ConvNextVariant, VARIANTS};

/// Side of a patch of the stem in pixels.
const PATCH: usize = 4;
/// Epsilon of every layer norm.
const EPSILON: f64 = 1e-6;

/// Configuration of a [`ConvNext`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConvNextConfig {
    /// Number of channels of each stage.
    pub channels: Vec<usize>,
    /// Number of blocks of each stage.
    pub depths: Vec<usize>,
    /// Stochastic depth rate of the last block; the rate grows linearly from 0 at the first block.
    pub drop_path: f64,
}

/// The stem: a convolution of stride 4 and a layer norm.
#[derive(Module, Debug)]
pub struct Stem<B: Backend> {
    /// `[channels, 3, 4, 4]`
    pub conv: Conv2d<B>,
    /// `[channels]`
    pub norm: LayerNorm<B>,
}

/// A stage of a [`ConvNext`].
#[derive(Module, Debug)]
pub struct ConvNextStage<B: Backend> {
    /// Transition from the stage before; `None` in the first stage.
    pub downsample: Option<Downsample<B>>,
    /// Blocks in order.
    pub blocks: Vec<ConvNextBlock<B>>,
}

/// ConvNeXt without a classifier. See the [module](self) for its conventions.
#[derive(Module, Debug)]
pub struct ConvNext<B: Backend> {
    /// Stem, to `[batch, height / 4, width / 4, channels]`.
    pub stem: Stem<B>,
    /// Stages in order.
    pub stages: Vec<ConvNextStage<B>>,
    /// The norm of the pooled last map, which no stage passes; `None` if a weight file has none.
    pub norm: Option<ClosingNorm<B>>,
}

impl ConvNextConfig {
    /// Initialises the network as timm: a normal distribution with standard deviation 0.02 for weights, zeros for
    /// biases.
    ///
    /// # Panics
    ///
    /// If there are no stages, or `channels` and `depths` differ in length; the variants of the table are valid.
    pub fn init<B: Backend>(&self, device: &B::Device) -> ConvNext<B> {
        assert_eq!(
            self.channels.len(),
            self.depths.len(),
            "channels and blocks for each stage"
        );
        let last = self.depths.iter().sum::<usize>().saturating_sub(1).max(1) as f64;
        let mut before = 0;
        let stage = |(index, (&channels, &depth)): (usize, (&usize, &usize))| {
            let block = |block| {
                let drop_path = self.drop_path * (before + block) as f64 / last;
                ConvNextBlock::new(channels, drop_path, device)
            };
            let blocks = (0..depth).map(block).collect();
            before += depth;
            ConvNextStage {
                downsample: (index > 0)
                    .then(|| Downsample::new([self.channels[index - 1], channels], device)),
                blocks,
            }
        };
        let stages = self.channels.iter().zip(&self.depths).enumerate();
        ConvNext {
            stem: Stem {
                conv: patches_layer([3, self.channels[0]], PATCH, device),
                norm: norm(self.channels[0], device),
            },
            stages: stages.map(stage).collect(),
            norm: self
                .channels
                .last()
                .map(|last| ClosingNorm::new(*last, device)),
        }
    }
}

impl<B: KernelBackend> ConvNext<B> {
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
        let layer = &self.stem.conv;
        let [_, _, height, width] = images.dims();
        let bias = layer.bias.as_ref().map(Param::val);
        let options = whole_patches([height, width], PATCH);
        let patches = convolution(images.clone(), layer.weight.val(), bias, options);
        let patches = channels_last(patches, ChannelAxis::First);
        let patches = access.at(Point::Patches, &images, patches);
        let normed = normalise(&self.stem.norm, patches);
        access.at(Point::Embedding, &images, normed)
    }
}

impl<B: KernelBackend> Backbone<B> for ConvNext<B> {
    fn description(&self) -> Description {
        let stages = self.stages.iter().enumerate();
        let sections = stages.map(|(stage, layer)| Section {
            channels: layer.blocks[0].channels(),
            hidden: Some(layer.blocks[0].mlp.hidden()),
            stride: PATCH << stage,
            blocks: layer.blocks.len(),
            stage: Some(stage),
        });
        Description {
            axis: ChannelAxis::Last,
            sections: sections.collect(),
            branches: vec![Point::Convolution],
            operations: Operations {
                embedding: vec![Point::Patches, Point::Embedding],
                transition: vec![Point::MergingNorm, Point::Merging],
                block: vec![
                    Point::Depthwise,
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
        format!("stages.{section}.blocks.{block}")
    }

    fn transition_path(&self, section: usize) -> Option<String> {
        (section > 0).then(|| format!("stages.{section}.downsample"))
    }

    fn operation(&mut self, site: Site) -> Option<Operation<'_, B>> {
        match site.point {
            Point::Patches => return Some(of_convolution(&mut self.stem.conv)),
            Point::Embedding => return Some(Operation::Norm(&mut self.stem.norm)),
            _ => {}
        }
        let stage = self.stages.get_mut(site.section)?;
        match (site.point, stage.downsample.as_mut()) {
            (Point::MergingNorm, Some(downsample)) => Some(Operation::Norm(&mut downsample.norm)),
            (Point::Merging, Some(downsample)) => Some(of_convolution(&mut downsample.conv)),
            (point, _) => stage.blocks.get_mut(site.block)?.operation(point),
        }
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
        let mut outputs = Vec::with_capacity(self.stages.len());
        for (section, stage) in self.stages.iter().enumerate() {
            if let Some(downsample) = &stage.downsample {
                x = downsample.forward(x, &mut BlockAccess::new(access, section, 0));
            }
            for (block, module) in stage.blocks.iter().enumerate() {
                let mut inside = BlockAccess::new(access, section, block);
                x = module.forward(x, &mut drop_path, &mut inside);
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
        let next = self.stages.get(section + 1);
        match next.and_then(|stage| stage.downsample.as_ref()) {
            Some(downsample) => downsample.forward_lifted::<T, L>(highway),
            None => highway,
        }
    }
}

/// Creates a convolution with weights as timm initialises them and a bias of zeros.
fn convolution_layer<B: Backend>(config: Conv2dConfig, device: &B::Device) -> Conv2d<B> {
    let outputs = config.channels[1];
    let mut layer = config.with_initializer(truncated_normal()).init(device);
    layer.bias = Some(Initializer::Zeros.init([outputs], device));
    layer
}

/// The layer of a convolution of patches.
fn patches_layer<B: Backend>(channels: [usize; 2], patch: usize, device: &B::Device) -> Conv2d<B> {
    let config = Conv2dConfig::new(channels, [patch; 2]).with_stride([patch; 2]);
    convolution_layer(config, device)
}

fn of_convolution<B: Backend>(layer: &mut Conv2d<B>) -> Operation<'_, B> {
    Operation::Convolution {
        weight: &mut layer.weight,
        bias: &mut layer.bias,
    }
}

/// Options of a convolution of patches, padded at the right and bottom to whole ones.
fn whole_patches(size: [usize; 2], patch: usize) -> ConvolutionOptions {
    ConvolutionOptions {
        stride: patch,
        padding: size.map(|side| [0, side.next_multiple_of(patch) - side]),
        groups: 1,
        activation: Activation::Identity,
    }
}

/// A layer norm with ConvNeXt's epsilon.
fn norm<B: Backend>(channels: usize, device: &B::Device) -> LayerNorm<B> {
    LayerNormConfig::new(channels)
        .with_epsilon(EPSILON)
        .init(device)
}

/// Applies a Burn layer norm with [`layer_norm`].
fn normalise<B: KernelBackend>(norm: &LayerNorm<B>, x: Tensor<B, 4>) -> Tensor<B, 4> {
    let gamma = norm.gamma.val();
    let beta = match &norm.beta {
        Some(beta) => beta.val(),
        None => gamma.zeros_like(),
    };
    layer_norm(x, gamma, beta, EPSILON)
}
