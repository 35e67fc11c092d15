//! The light All-MLP decoder of SegFormer (Xie et al. 2021, arXiv 2105.15203).
//!
//! As published, every stage is projected to one width, upsampled to the finest resolution and concatenated,
//! and a 1x1 convolution fuses the stack. Projection, bilinear upsampling and fusion are linear, and upsampling
//! acts only on positions, so they commute: here each stage is projected by the product of its projection and
//! its slice of the fusion, upsampled and added. The function and the parameters are the published ones; the
//! stack of four wide maps is never stored.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::{KernelBackend, add, project_channels, relu, resize_bilinear};
use serde::{Deserialize, Serialize};

use crate::convolution::{ConvNormRelu, Pointwise};
use crate::decoder::Decoder;
use crate::dropout::drop_channels;
use crate::head::{HeadDescriptor, HeadSettings, HeadTask, drop_rate, in_range};
use crate::maps::MapShape;

pub(crate) const DESCRIPTOR: HeadDescriptor = HeadDescriptor {
    name: "segformer",
    task: HeadTask::Segmentation,
    summary: "All-MLP decoder of SegFormer: light, for CPUs",
    source: "SegFormer, arXiv 2105.15203",
};

/// Configuration of a [`SegFormerDecoder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegFormerConfig {
    /// Number of channels of the fused map.
    pub channels: usize,
    /// Probability of dropping a channel before the classifier.
    pub dropout: f64,
}

impl Default for SegFormerConfig {
    fn default() -> Self {
        Self {
            channels: 256,
            dropout: 0.1,
        }
    }
}

/// The All-MLP decoder; its logits have the resolution of the finest stage.
#[derive(Module, Debug)]
pub struct SegFormerDecoder<B: Backend> {
    /// Projection of every stage, `[channels of the stage, channels]`.
    pub projections: Vec<Pointwise<B>>,
    /// Fusion of the projected stages in their order, `[channels, stages * channels, 1, 1]`.
    pub fuse: ConvNormRelu<B>,
    /// `[channels, classes]`
    pub classifier: Pointwise<B>,
    dropout: f64,
}

impl SegFormerConfig {
    /// Initialises a decoder for features with these channels.
    pub fn init<B: Backend>(
        &self,
        inputs: &[MapShape],
        classes: usize,
        device: &B::Device,
    ) -> SegFormerDecoder<B> {
        SegFormerDecoder {
            projections: inputs
                .iter()
                .map(|input| Pointwise::linear(input.channels, self.channels, device))
                .collect(),
            fuse: ConvNormRelu::new(inputs.len() * self.channels, self.channels, 1, device),
            classifier: Pointwise::classifier(self.channels, classes, device),
            dropout: self.dropout,
        }
    }
}

impl HeadSettings for SegFormerConfig {
    fn validate(&self, _: &[MapShape]) -> Result<(), String> {
        in_range("channels", self.channels)?;
        drop_rate("dropout", self.dropout)
    }
}

impl<B: KernelBackend> Decoder<B> for SegFormerDecoder<B> {
    fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Tensor<B, 4> {
        let [_, _, height, width] = features[0].dims();
        let fuse = self.fuse.weight.val();
        let [channels, stacked, _, _] = fuse.dims();
        // [stages * channels, channels]: a slice of rows per stage.
        let fuse = fuse.reshape([channels, stacked]).transpose();
        let fused = features
            .iter()
            .zip(&self.projections)
            .enumerate()
            .map(|(stage, (feature, projection))| {
                let slice = fuse.clone().narrow(0, stage * channels, channels);
                let weight = projection.weight.val().matmul(slice.clone());
                let bias = projection.bias.val().unsqueeze::<2>().matmul(slice);
                let bias = bias.reshape([channels]);
                let projected = project_channels(feature.clone(), weight, Some(bias));
                resize_bilinear(projected, [height, width])
            })
            .reduce(add);
        let Some(fused) = fused else {
            unreachable!("an encoder has at least one stage")
        };
        let fused = relu(self.fuse.norm.forward(fused, phase));
        let fused = drop_channels(fused, self.dropout, phase);
        self.classifier.forward(fused)
    }
}
