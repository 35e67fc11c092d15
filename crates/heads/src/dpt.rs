//! DPT, the dense prediction transformer (Ranftl et al. 2021, arXiv 2103.13413): the maps of a plain vision
//! transformer are reassembled at four scales, and fused from coarse to fine by residual units.
//!
//! - **Reassembling.** Each map passes a 1x1 convolution to a width of its own, and then a transposed convolution
//!   that makes 16 positions of one, another that makes four, nothing, or a 3x3 convolution with stride 2. A
//!   backbone whose strides grow needs none of it, as in MiDaS's variants on Swin (Birkl et al. 2023, arXiv
//!   2307.14460) and in `transformers`.
//! - **Readout.** The features of this library are without class token: the publication's readout "ignore".
//! - **Fusion.** A 3x3 convolution brings every map to one width. Each block adds to its map what comes from the
//!   coarser one, passes two residual units of two convolutions, and enlarges its output to the size of the next
//!   map with corners aligned. As in MiDaS this size is that of the map and not twice one's own, which differ on
//!   odd sides. The published 1x1 convolution after the enlargement is before it here: the two commute, and there
//!   are a quarter of the positions.
//! - **Output.** A 3x3 convolution with batch norm and ReLU, dropout and a 1x1 convolution, as published for
//!   segmentation; depth and normals have the same, for the decoder of a task is of one kind here. Logits are at
//!   half the stride of the finest map.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::{
    Activation, ConvolutionOptions, KernelBackend, add, convolution, relu, resize_bilinear_aligned,
};
use serde::{Deserialize, Serialize};

use crate::convolution::{ConvNormRelu, Convolution, Pointwise, kaiming};
use crate::decoder::Decoder;
use crate::dropout::drop_channels;
use crate::enlarging::Enlarging;
use crate::head::{HeadDescriptor, HeadSettings, HeadTask, drop_rate, in_range};
use crate::maps::{MapShape, listed};
use crate::normalization::BatchNorm;

pub(crate) const DESCRIPTOR: HeadDescriptor = HeadDescriptor {
    name: "dpt",
    task: HeadTask::Segmentation,
    summary: "maps of a plain ViT at four scales, fused by residual units: for classes, depth and normals",
    source: "DPT, arXiv 2103.13413",
};

/// The scales that maps of one stride are reassembled at.
const SCALES: [f32; 4] = [4.0, 2.0, 1.0, 0.5];
/// The published widths of the reassembled maps.
const WIDTHS: [usize; 4] = [96, 192, 384, 768];

/// Configuration of a [`Dpt`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DptConfig {
    /// Width of the fusion.
    pub channels: usize,
    /// Widths of the reassembled maps, the finest first; 96, 192, 384 and 768 if absent. Maps whose strides grow
    /// are not reassembled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widths: Option<[usize; 4]>,
    /// Whether the residual units have batch norms: published so for segmentation, without them for depth.
    pub batch_norm: bool,
    /// Probability of dropping a channel before the classifier.
    pub dropout: f64,
}

impl Default for DptConfig {
    fn default() -> Self {
        Self {
            channels: 256,
            widths: None,
            batch_norm: true,
            dropout: 0.1,
        }
    }
}

/// The decoder; its logits have twice the resolution of the finest map.
#[derive(Module, Debug)]
pub struct Dpt<B: Backend> {
    /// One for every map of one stride; none for maps whose strides grow.
    pub reassembled: Vec<Reassembling<B>>,
    /// 3x3 convolutions to one width, one per map, `[channels, channels of the map, 3, 3]`.
    pub narrowing: Vec<Param<Tensor<B, 4>>>,
    /// Fusion blocks, one per map.
    pub blocks: Vec<FusionBlock<B>>,
    /// 3x3 convolution of the fused map.
    pub hidden: ConvNormRelu<B>,
    /// `[channels, classes]`
    pub classifier: Pointwise<B>,
    dropout: f64,
}

/// What a map passes to be one of a pyramid.
#[derive(Module, Debug)]
pub struct Reassembling<B: Backend> {
    /// To the width of the map, `[channels of the stage, width]`.
    pub projection: Pointwise<B>,
    /// Where the map grows.
    pub enlarging: Option<Enlarging<B>>,
    /// Where the map shrinks: 3x3 with stride 2.
    pub shrinking: Option<Convolution<B>>,
}

/// A fusion block.
#[derive(Module, Debug)]
pub struct FusionBlock<B: Backend> {
    /// Of the map, before what comes from the coarser one is added; none in the coarsest block.
    pub lateral: Option<ResidualUnit<B>>,
    /// Of the sum.
    pub fused: ResidualUnit<B>,
    /// `[channels, channels]`
    pub output: Pointwise<B>,
}

/// `x + step(step(x))`, where a step is a ReLU and a 3x3 convolution.
#[derive(Module, Debug)]
pub struct ResidualUnit<B: Backend> {
    /// The two steps.
    pub steps: Vec<UnitConvolution<B>>,
}

/// A 3x3 convolution with a batch norm, or with a bias.
#[derive(Module, Debug)]
pub struct UnitConvolution<B: Backend> {
    /// `[channels, channels, 3, 3]`
    pub weight: Param<Tensor<B, 4>>,
    /// `[channels]`
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// `[channels]`
    pub norm: Option<BatchNorm<B>>,
}

impl DptConfig {
    fn widths(&self) -> [usize; 4] {
        self.widths.unwrap_or(WIDTHS)
    }

    /// The strides of the maps that are fused, the finest first.
    fn strides(maps: &[MapShape]) -> Vec<f32> {
        let scales = if MapShape::have_one_stride(maps) {
            SCALES
        } else {
            [1.0; 4]
        };
        let scales = scales.into_iter().chain(std::iter::repeat(1.0));
        let pairs = maps.iter().zip(scales);
        pairs.map(|(map, scale)| map.stride / scale).collect()
    }

    /// Initialises a decoder for maps of these shapes, the finest first.
    pub fn init<B: Backend>(
        &self,
        inputs: &[MapShape],
        classes: usize,
        device: &B::Device,
    ) -> Dpt<B> {
        let channels = self.channels;
        let (reassembled, widths) = match MapShape::have_one_stride(inputs) {
            false => (Vec::new(), inputs.iter().map(|map| map.channels).collect()),
            true => {
                let lines = inputs.iter().zip(self.widths()).zip(SCALES);
                let reassembled = lines.map(|((map, width), scale)| {
                    Reassembling::new([map.channels, width], scale, device)
                });
                (reassembled.collect(), self.widths().to_vec())
            }
        };
        let narrowing = widths
            .iter()
            .map(|&width| kaiming(channels, 3).init([channels, width, 3, 3], device));
        let unit = || ResidualUnit::new(channels, self.batch_norm, device);
        let last = inputs.len().saturating_sub(1);
        let block = |index: usize| FusionBlock {
            lateral: (index < last).then(unit),
            fused: unit(),
            output: Pointwise::kaiming(channels, channels, device),
        };
        Dpt {
            reassembled,
            narrowing: narrowing.collect(),
            blocks: (0..inputs.len()).map(block).collect(),
            hidden: ConvNormRelu::new(channels, channels, 3, device),
            classifier: Pointwise::classifier(channels, classes, device),
            dropout: self.dropout,
        }
    }
}

impl<B: Backend> Reassembling<B> {
    fn new([inputs, width]: [usize; 2], scale: f32, device: &B::Device) -> Self {
        let factor = scale as usize;
        Self {
            projection: Pointwise::kaiming(inputs, width, device),
            enlarging: (factor > 1).then(|| Enlarging::uniform([width, width], factor, device)),
            shrinking: (factor < 1).then(|| Convolution::kaiming([width, width, 3], device)),
        }
    }
}

impl<B: Backend> ResidualUnit<B> {
    fn new(channels: usize, has_norm: bool, device: &B::Device) -> Self {
        let step = |_| UnitConvolution {
            weight: kaiming(channels, 3).init([channels, channels, 3, 3], device),
            bias: (!has_norm).then(|| Initializer::Zeros.init([channels], device)),
            norm: has_norm.then(|| BatchNorm::new(channels, device)),
        };
        Self {
            steps: (0..2).map(step).collect(),
        }
    }
}

impl HeadSettings for DptConfig {
    fn validate(&self, maps: &[MapShape]) -> Result<(), String> {
        in_range("channels", self.channels)?;
        drop_rate("dropout", self.dropout)?;
        for width in self.widths() {
            in_range("widths", width)?;
        }
        let strides = || listed(maps.iter().map(|map| map.stride));
        if MapShape::have_one_stride(maps) && maps.len() != SCALES.len() {
            return Err(format!(
                "head.name = \"dpt\" reassembles four maps of one stride; here there are {}, of strides {}",
                maps.len(),
                strides()
            ));
        }
        let grow = maps.windows(2).all(|pair| pair[0].stride < pair[1].stride);
        if !MapShape::have_one_stride(maps) && !grow {
            return Err(format!(
                "head.name = \"dpt\" needs maps of one stride or of growing strides; here they are {}",
                strides()
            ));
        }
        match self.widths {
            Some(widths) if !MapShape::have_one_stride(maps) => Err(format!(
                "head.widths = {widths:?}; maps of strides {} are not reassembled, so it must be absent",
                strides()
            )),
            _ => Ok(()),
        }
    }

    fn coarsest_norm(&self, maps: &[MapShape]) -> Option<f32> {
        let strides = Self::strides(maps);
        match self.batch_norm {
            true => strides.last().copied(),
            false => strides.first().map(|finest| finest / 2.0),
        }
    }

    fn coarsest_stride(&self, maps: &[MapShape]) -> f32 {
        Self::strides(maps).into_iter().fold(1.0, f32::max)
    }
}

impl<B: KernelBackend> Reassembling<B> {
    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let x = self.projection.forward(x);
        match (&self.enlarging, &self.shrinking) {
            (Some(enlarging), _) => enlarging.forward(x),
            (None, Some(shrinking)) => shrinking.forward(x, 2, Activation::Identity),
            (None, None) => x,
        }
    }
}

impl<B: KernelBackend> UnitConvolution<B> {
    fn forward(&self, x: Tensor<B, 4>, phase: Phase) -> Tensor<B, 4> {
        let bias = self.bias.as_ref().map(Param::val);
        let x = same(x, self.weight.val(), bias);
        match &self.norm {
            Some(norm) => norm.forward(x, phase),
            None => x,
        }
    }
}

impl<B: KernelBackend> ResidualUnit<B> {
    fn forward(&self, x: Tensor<B, 4>, phase: Phase) -> Tensor<B, 4> {
        let steps = self.steps.iter();
        let change = steps.fold(x.clone(), |x, step| step.forward(relu(x), phase));
        add(change, x)
    }
}

impl<B: KernelBackend> FusionBlock<B> {
    /// Fuses a map with what comes from the coarser one, and enlarges the result to a size.
    fn forward(
        &self,
        map: Tensor<B, 4>,
        coarser: Option<Tensor<B, 4>>,
        size: [usize; 2],
        phase: Phase,
    ) -> Tensor<B, 4> {
        let sum = match (coarser, &self.lateral) {
            (Some(coarser), Some(lateral)) => add(lateral.forward(map, phase), coarser),
            _ => map,
        };
        let output = self.output.forward(self.fused.forward(sum, phase));
        resize_bilinear_aligned(output, size)
    }
}

/// A 3x3 convolution that keeps the size.
fn same<B: KernelBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 4> {
    let [_, _, height, width] = x.dims();
    convolution(
        x,
        weight,
        bias,
        ConvolutionOptions::same([height, width], 3, 1),
    )
}

impl<B: KernelBackend> Decoder<B> for Dpt<B> {
    fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Tensor<B, 4> {
        let narrowing = self.narrowing.iter().enumerate();
        let maps = narrowing.map(|(index, weight)| {
            let map = features[index].clone();
            let map = match self.reassembled.get(index) {
                Some(reassembled) => reassembled.forward(map),
                None => map,
            };
            same(map, weight.val(), None)
        });
        let maps: Vec<Tensor<B, 4>> = maps.collect();
        let size = |map: &Tensor<B, 4>| [map.dims()[2], map.dims()[3]];
        let mut fused: Option<Tensor<B, 4>> = None;
        for (index, block) in self.blocks.iter().enumerate().rev() {
            let size = match index.checked_sub(1) {
                Some(finer) => size(&maps[finer]),
                None => size(&maps[0]).map(|side| 2 * side),
            };
            fused = Some(block.forward(maps[index].clone(), fused, size, phase));
        }
        let Some(fused) = fused else {
            unreachable!("a decoder has at least one map")
        };
        let x = self.hidden.forward(fused, phase);
        self.classifier
            .forward(drop_channels(x, self.dropout, phase))
    }
}

#[cfg(test)]
mod tests {
    use gradway_backbone::StageShape;

    use super::*;

    fn maps(strides: &[usize]) -> Vec<MapShape> {
        let map = |&stride| {
            MapShape::from(StageShape {
                channels: 8,
                stride,
            })
        };
        strides.iter().map(map).collect()
    }

    #[test]
    fn strides_of_what_is_fused() {
        let config = DptConfig::default();
        assert_eq!(DptConfig::strides(&maps(&[14; 4])), [3.5, 7.0, 14.0, 28.0]);
        assert_eq!(config.coarsest_stride(&maps(&[14; 4])), 28.0);
        assert_eq!(config.coarsest_norm(&maps(&[14; 4])), Some(28.0));
        assert_eq!(config.coarsest_stride(&maps(&[4, 8, 16, 32])), 32.0);
        let plain = DptConfig {
            batch_norm: false,
            ..config
        };
        assert_eq!(plain.coarsest_norm(&maps(&[4, 8, 16, 32])), Some(2.0));
    }

    #[test]
    fn maps_that_do_not_fit_are_refused() {
        let config = DptConfig::default();
        for fitting in [&[14; 4][..], &[4, 8, 16, 32], &[8, 16, 32], &[16]] {
            assert_eq!(config.validate(&maps(fitting)), Ok(()), "{fitting:?}");
        }
        for wrong in [&[14; 3][..], &[4, 8, 8, 16], &[32, 16, 8, 4]] {
            assert!(config.validate(&maps(wrong)).is_err(), "{wrong:?}");
        }
        let widths = DptConfig {
            widths: Some([8; 4]),
            ..config
        };
        assert_eq!(widths.validate(&maps(&[14; 4])), Ok(()));
        let refused = widths.validate(&maps(&[4, 8, 16, 32])).unwrap_err();
        assert!(refused.starts_with("head.widths = [8, 8, 8, 8]; maps of strides 4, 8, 16, 32"));
    }
}
