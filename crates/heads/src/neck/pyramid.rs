//! A feature pyramid from several depths of a plain vision transformer, as BEiT has it for UPerNet (Bao et al.
//! 2022, arXiv 2106.08254); mmsegmentation's `Feature2Pyramid`.
//!
//! Of the four depths the first is enlarged four times by two transposed convolutions with a batch norm and a
//! GELU between them, the second twice by one, the third stays, and the last is max-pooled. Widths are kept. The
//! published pooling drops the last position of an odd side; this one pools it alone, so that a map covers the
//! whole image. On even sides, which all published sizes have, the two are the same.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Phase, StageShape};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use super::scale;
use super::settings::{Neck, NeckDescriptor, NeckSettings};
use crate::enlarging::Enlarging;
use crate::maps::{MapShape, listed};
use crate::normalization::BatchNorm;

pub(crate) const DESCRIPTOR: NeckDescriptor = NeckDescriptor {
    name: "pyramid",
    summary: "a pyramid from the depths of a plain ViT, one map from each",
    source: "BEiT, arXiv 2106.08254",
};

/// Configuration of a [`Pyramid`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PyramidConfig {
    /// The scale of every stage's map: 4, 2, 1 or 0.5.
    pub scales: Vec<f32>,
}

impl Default for PyramidConfig {
    fn default() -> Self {
        Self {
            scales: scale::usual(),
        }
    }
}

/// The pyramid: what every stage's map passes.
#[derive(Module, Debug)]
pub struct Pyramid<B: Backend> {
    /// One for every stage; none where the head does not read the map.
    pub levels: Vec<Option<PyramidLevel<B>>>,
}

/// What the map of one stage passes.
#[derive(Module, Debug)]
pub struct PyramidLevel<B: Backend> {
    /// Transposed convolutions, each of which doubles the sides: at most two.
    pub enlargings: Vec<Enlarging<B>>,
    /// Between two of them, `[channels]`.
    pub norm: Option<BatchNorm<B>>,
    halves: bool,
}

impl PyramidConfig {
    /// Initialises the pyramid for these stages; `is_read` says which of its maps the head reads.
    pub fn init<B: Backend>(
        &self,
        stages: &[StageShape],
        is_read: &dyn Fn(usize) -> bool,
        device: &B::Device,
    ) -> Pyramid<B> {
        let level = |(index, (stage, &scale)): (usize, (&StageShape, &f32))| {
            let channels = stage.channels;
            let doublings = scale::doublings(scale);
            is_read(index).then(|| PyramidLevel {
                enlargings: scale::enlargings(channels, &vec![channels; doublings], device),
                norm: (doublings > 1).then(|| BatchNorm::new(channels, device)),
                halves: scale::halves(scale),
            })
        };
        let pairs = stages.iter().zip(&self.scales);
        Pyramid {
            levels: pairs.enumerate().map(level).collect(),
        }
    }
}

impl NeckSettings for PyramidConfig {
    fn validate(&self, stages: &[StageShape]) -> Result<(), String> {
        scale::validate(&self.scales)?;
        let strides = stages.iter().map(|stage| stage.stride as f32);
        let strides: Vec<f32> = strides.collect();
        if strides.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!(
                "neck.name = \"pyramid\" needs stages of one stride; those of the backbone have {}: it must be \
                 \"none\"",
                listed(strides)
            ));
        }
        match self.scales.len() == stages.len() {
            true => Ok(()),
            false => Err(format!(
                "neck.scales has {} scales; the backbone has {} stages, and each needs one",
                self.scales.len(),
                stages.len()
            )),
        }
    }

    fn maps(&self, stages: &[StageShape]) -> Vec<MapShape> {
        let pairs = stages.iter().zip(&self.scales);
        let map = |(stage, scale): (&StageShape, &f32)| MapShape {
            channels: stage.channels,
            stride: stage.stride as f32 / scale,
            is_pyramid: false,
        };
        pairs.map(map).collect()
    }

    fn source(&self, map: usize, _: usize) -> usize {
        map
    }
}

impl<B: KernelBackend> PyramidLevel<B> {
    fn forward(&self, x: Tensor<B, 4>, phase: Phase) -> Tensor<B, 4> {
        let x = scale::enlarge(x, &self.enlargings, |x| match &self.norm {
            Some(norm) => norm.forward(x, phase),
            None => x,
        });
        match self.halves {
            true => scale::halve(x),
            false => x,
        }
    }
}

impl<B: KernelBackend> Neck<B> for Pyramid<B> {
    fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Vec<Tensor<B, 4>> {
        let pairs = features.iter().zip(&self.levels);
        let map = |(feature, level): (&Tensor<B, 4>, &Option<PyramidLevel<B>>)| match level {
            Some(level) => level.forward(feature.clone(), phase),
            None => feature.clone(),
        };
        pairs.map(map).collect()
    }
}
