//! The head of FCN (Long et al. 2015) on one stage, used as the auxiliary head of UPerNet.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::convolution::{ConvNormRelu, Pointwise};
use crate::decoder::Decoder;
use crate::dropout::drop_channels;
use crate::head::{HeadDescriptor, HeadSettings, HeadTask, drop_rate, in_range};
use crate::maps::MapShape;

pub(crate) const DESCRIPTOR: HeadDescriptor = HeadDescriptor {
    name: "fcn",
    task: HeadTask::Segmentation,
    summary: "3x3 convolutions on one stage; the auxiliary of UPerNet",
    source: "FCN, arXiv 1411.4038",
};

/// Configuration of an [`Fcn`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FcnConfig {
    /// The stage it reads.
    pub stage: usize,
    /// Number of channels of its convolution.
    pub channels: usize,
    /// Probability of dropping a channel before the classifier.
    pub dropout: f64,
}

impl Default for FcnConfig {
    fn default() -> Self {
        Self {
            stage: 2,
            channels: 256,
            dropout: 0.1,
        }
    }
}

/// One convolution and a classifier; logits at the stage's resolution.
#[derive(Module, Debug)]
pub struct Fcn<B: Backend> {
    /// 3x3 convolution.
    pub convolution: ConvNormRelu<B>,
    /// `[channels, classes]`
    pub classifier: Pointwise<B>,
    stage: usize,
    dropout: f64,
}

impl FcnConfig {
    /// Initialises a head for features with these channels.
    pub fn init<B: Backend>(
        &self,
        inputs: &[MapShape],
        classes: usize,
        device: &B::Device,
    ) -> Fcn<B> {
        Fcn {
            convolution: ConvNormRelu::new(inputs[self.stage].channels, self.channels, 3, device),
            classifier: Pointwise::classifier(self.channels, classes, device),
            stage: self.stage,
            dropout: self.dropout,
        }
    }
}

impl HeadSettings for FcnConfig {
    fn validate(&self, maps: &[MapShape]) -> Result<(), String> {
        self.validate_as("", maps.len())
    }

    fn reads(&self, map: usize, _: usize) -> bool {
        self.stage == map
    }

    fn coarsest_norm(&self, maps: &[MapShape]) -> Option<f32> {
        maps.get(self.stage).map(|map| map.stride)
    }
}

impl FcnConfig {
    /// Checks the fields of a head nested in another head's table; `prefix` is its key there, such as `auxiliary.`.
    pub(crate) fn validate_as(&self, prefix: &str, stages: usize) -> Result<(), String> {
        in_range(&format!("{prefix}channels"), self.channels)?;
        drop_rate(&format!("{prefix}dropout"), self.dropout)?;
        match self.stage < stages {
            true => Ok(()),
            false => Err(format!(
                "head.{prefix}stage = {}; there are maps 0..{stages}",
                self.stage
            )),
        }
    }
}

impl<B: KernelBackend> Decoder<B> for Fcn<B> {
    fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Tensor<B, 4> {
        let x = self
            .convolution
            .forward(features[self.stage].clone(), phase);
        self.classifier
            .forward(drop_channels(x, self.dropout, phase))
    }
}
