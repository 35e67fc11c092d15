//! The linear head by which DINOv2 is evaluated (Oquab et al. 2023, arXiv 2304.07193): a batch norm and a 1x1
//! classifier on the last map, or on the last four concatenated; `BNHead` in its code.
//!
//! Maps are concatenated at the resolution of the finest of them, the others enlarged. The published head has no
//! dropout, and neither has this one.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::{KernelBackend, resize_bilinear};
use serde::{Deserialize, Serialize};

use crate::convolution::Pointwise;
use crate::decoder::Decoder;
use crate::head::{HeadDescriptor, HeadSettings, HeadTask};
use crate::maps::MapShape;
use crate::normalization::BatchNorm;

pub(crate) const DESCRIPTOR: HeadDescriptor = HeadDescriptor {
    name: "linear",
    task: HeadTask::Segmentation,
    summary: "a batch norm and a 1x1 classifier on the last map or maps: how DINOv2 is evaluated",
    source: "DINOv2, arXiv 2304.07193",
};

/// Configuration of a [`LinearDecoder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinearConfig {
    /// How many of the last maps it reads; 1 or 4 in the publication.
    pub maps: usize,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self { maps: 1 }
    }
}

/// A norm and a classifier; logits at the resolution of the finest map that is read.
#[derive(Module, Debug)]
pub struct LinearDecoder<B: Backend> {
    /// `[channels of all maps that are read]`
    pub norm: BatchNorm<B>,
    /// `[channels of all maps that are read, classes]`
    pub classifier: Pointwise<B>,
    maps: usize,
}

impl LinearConfig {
    /// Initialises a decoder for maps of these shapes, the finest first.
    pub fn init<B: Backend>(
        &self,
        inputs: &[MapShape],
        classes: usize,
        device: &B::Device,
    ) -> LinearDecoder<B> {
        let read = &inputs[inputs.len() - self.maps..];
        let channels = read.iter().map(|map| map.channels).sum();
        LinearDecoder {
            norm: BatchNorm::new(channels, device),
            classifier: Pointwise::classifier(channels, classes, device),
            maps: self.maps,
        }
    }
}

impl HeadSettings for LinearConfig {
    fn validate(&self, maps: &[MapShape]) -> Result<(), String> {
        match (1..=maps.len()).contains(&self.maps) {
            true => Ok(()),
            false => Err(format!(
                "head.maps = {}; there are {} maps, and it must be one of 1..={}",
                self.maps,
                maps.len(),
                maps.len()
            )),
        }
    }

    fn reads(&self, map: usize, maps: usize) -> bool {
        map + self.maps >= maps
    }

    fn coarsest_norm(&self, maps: &[MapShape]) -> Option<f32> {
        let first = maps.len().checked_sub(self.maps)?;
        maps.get(first).map(|map| map.stride)
    }
}

impl<B: KernelBackend> Decoder<B> for LinearDecoder<B> {
    fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Tensor<B, 4> {
        let read = &features[features.len() - self.maps..];
        let [_, _, height, width] = read[0].dims();
        let maps = read.iter().cloned();
        let maps = maps.map(|map| resize_bilinear(map, [height, width]));
        let x = Tensor::cat(maps.collect(), 1);
        self.classifier.forward(self.norm.forward(x, phase))
    }
}
