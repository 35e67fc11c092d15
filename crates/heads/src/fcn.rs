//! The head of FCN (Long et al. 2015) on one stage: the auxiliary of UPerNet.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::convolution::{ConvNormRelu, Pointwise};
use crate::decoder::Decoder;
use crate::dropout::drop_channels;
use crate::table::{HeadDescriptor, HeadTask};

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
    /// Stage it reads.
    pub stage: usize,
    /// Width of its convolution.
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
    /// 3x3.
    pub convolution: ConvNormRelu<B>,
    /// `[channels, classes]`
    pub classifier: Pointwise<B>,
    stage: usize,
    dropout: f64,
}

impl FcnConfig {
    /// A head for features of these widths.
    pub fn init<B: Backend>(&self, inputs: &[usize], classes: usize, device: &B::Device) -> Fcn<B> {
        Fcn {
            convolution: ConvNormRelu::new(inputs[self.stage], self.channels, 3, device),
            classifier: Pointwise::classifier(self.channels, classes, device),
            stage: self.stage,
            dropout: self.dropout,
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
