//! The simple feature pyramid of ViTDet (Li et al. 2022, arXiv 2203.16527): all levels from the last map of a
//! plain vision transformer; detectron2's `SimpleFeaturePyramid`.
//!
//! A level of scale 4 passes a transposed convolution to half the channels, a layer norm, a GELU and a
//! transposed convolution to a quarter; one of scale 2 a transposed convolution to half; one of scale 0.5 max
//! pooling. Then a 1x1 and a 3x3 convolution follow, each with a layer norm, to one width for all levels. As
//! published it takes the place of a detector's own feature pyramid. Odd sides are pooled as in
//! [`pyramid`](super::pyramid).

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Phase, StageShape};
use gradway_kernels::{
    ChannelAxis, ConvolutionOptions, KernelBackend, channels_first, channels_last, convolution,
    layer_norm,
};
use serde::{Deserialize, Serialize};

use super::scale;
use super::settings::{Neck, NeckDescriptor, NeckSettings};
use crate::convolution::kaiming;
use crate::enlarging::Enlarging;
use crate::maps::MapShape;
use crate::range;

pub(crate) const DESCRIPTOR: NeckDescriptor = NeckDescriptor {
    name: "simple_pyramid",
    summary: "a pyramid of one width from the last map of a plain ViT, in place of a detector's FPN",
    source: "ViTDet, arXiv 2203.16527",
};

const EPSILON: f64 = 1e-6;

/// Configuration of a [`SimplePyramid`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimplePyramidConfig {
    /// Width of every level.
    pub channels: usize,
    /// The scale of every level: 4, 2, 1 or 0.5.
    pub scales: Vec<f32>,
}

impl Default for SimplePyramidConfig {
    fn default() -> Self {
        Self {
            channels: 256,
            scales: scale::usual(),
        }
    }
}

/// The pyramid: what the last map passes for every level.
#[derive(Module, Debug)]
pub struct SimplePyramid<B: Backend> {
    /// The levels; none where the head does not read the map.
    pub levels: Vec<Option<SimplePyramidLevel<B>>>,
}

/// What the last map passes for one level.
#[derive(Module, Debug)]
pub struct SimplePyramidLevel<B: Backend> {
    /// Transposed convolutions, each of which doubles the sides and halves the channels: at most two.
    pub enlargings: Vec<Enlarging<B>>,
    /// Between two of them, `[channels / 2]`.
    pub norm: Option<LayerNorm<B>>,
    /// 1x1 convolution to the width of the pyramid.
    pub projection: NormedConvolution<B>,
    /// 3x3 convolution.
    pub output: NormedConvolution<B>,
    halves: bool,
}

/// A convolution without bias, and a layer norm over the channels of every position.
#[derive(Module, Debug)]
pub struct NormedConvolution<B: Backend> {
    /// `[outputs, inputs, kernel, kernel]`
    pub weight: Param<Tensor<B, 4>>,
    /// `[outputs]`
    pub norm: LayerNorm<B>,
}

impl<B: Backend> NormedConvolution<B> {
    fn new([inputs, outputs, kernel]: [usize; 3], device: &B::Device) -> Self {
        Self {
            weight: kaiming(outputs, kernel).init([outputs, inputs, kernel, kernel], device),
            norm: norm(outputs, device),
        }
    }
}

fn norm<B: Backend>(channels: usize, device: &B::Device) -> LayerNorm<B> {
    let config = LayerNormConfig::new(channels);
    config.with_epsilon(EPSILON).init(device)
}

impl SimplePyramidConfig {
    /// Initialises the pyramid for these stages; `is_read` says which of its levels the head reads.
    pub fn init<B: Backend>(
        &self,
        stages: &[StageShape],
        is_read: &dyn Fn(usize) -> bool,
        device: &B::Device,
    ) -> SimplePyramid<B> {
        let inputs = stages.last().map_or(self.channels, |stage| stage.channels);
        let level = |(index, &scale): (usize, &f32)| {
            is_read(index).then(|| {
                let widths = [inputs / 2, inputs / 4];
                let widths = &widths[..scale::doublings(scale)];
                let width = widths.last().copied().unwrap_or(inputs);
                let channels = self.channels;
                SimplePyramidLevel {
                    enlargings: scale::enlargings(inputs, widths, device),
                    norm: (widths.len() > 1).then(|| norm(widths[0], device)),
                    projection: NormedConvolution::new([width, channels, 1], device),
                    output: NormedConvolution::new([channels, channels, 3], device),
                    halves: scale::halves(scale),
                }
            })
        };
        SimplePyramid {
            levels: self.scales.iter().enumerate().map(level).collect(),
        }
    }
}

impl NeckSettings for SimplePyramidConfig {
    fn validate(&self, stages: &[StageShape]) -> Result<(), String> {
        range::check("neck.channels", self.channels)?;
        scale::validate(&self.scales)?;
        let channels = stages.last().map_or(0, |stage| stage.channels);
        let most = self.scales.iter().copied().map(scale::doublings).max();
        match channels >> most.unwrap_or(0) {
            0 => Err(format!(
                "neck.scales has {}, for which the {channels} channels of the backbone's last stage are too few",
                self.scales[0]
            )),
            _ => Ok(()),
        }
    }

    fn maps(&self, stages: &[StageShape]) -> Vec<MapShape> {
        let stride = stages.last().map_or(1.0, |stage| stage.stride as f32);
        let map = |scale: &f32| MapShape {
            channels: self.channels,
            stride: stride / scale,
            is_pyramid: true,
        };
        self.scales.iter().map(map).collect()
    }

    fn source(&self, _: usize, stages: usize) -> usize {
        stages - 1
    }
}

/// Layer norm over the channels of every position.
fn normalise<B: KernelBackend>(x: Tensor<B, 4>, norm: &LayerNorm<B>) -> Tensor<B, 4> {
    let gamma = norm.gamma.val();
    let beta = match &norm.beta {
        Some(beta) => beta.val(),
        None => gamma.zeros_like(),
    };
    let rows = channels_last(x, ChannelAxis::First);
    channels_first(layer_norm(rows, gamma, beta, EPSILON), ChannelAxis::Last)
}

impl<B: KernelBackend> NormedConvolution<B> {
    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let weight = self.weight.val();
        let [_, _, height, width] = x.dims();
        let options = ConvolutionOptions::same([height, width], weight.dims()[2], 1);
        normalise(convolution(x, weight, None, options), &self.norm)
    }
}

impl<B: KernelBackend> SimplePyramidLevel<B> {
    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let x = scale::enlarge(x, &self.enlargings, |x| match &self.norm {
            Some(norm) => normalise(x, norm),
            None => x,
        });
        let x = match self.halves {
            true => scale::halve(x),
            false => x,
        };
        self.output.forward(self.projection.forward(x))
    }
}

impl<B: KernelBackend> Neck<B> for SimplePyramid<B> {
    fn forward(&self, features: &[Tensor<B, 4>], _: Phase) -> Vec<Tensor<B, 4>> {
        let Some(last) = features.last() else {
            return Vec::new();
        };
        let map = |level: &Option<SimplePyramidLevel<B>>| match level {
            Some(level) => level.forward(last.clone()),
            None => last.clone(),
        };
        self.levels.iter().map(map).collect()
    }
}
