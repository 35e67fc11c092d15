//! The small HRNet-like head (Sun et al. 2019, arXiv 1904.04514) of MTLoRA (Agiza et al. 2024, arXiv
//! 2403.20320): every stage is projected to its own narrow width, upsampled and concatenated, followed by a
//! wide layer and the outputs.
//!
//! In MTLoRA the head reads maps after patch merging, with 192, 384, 768 and 768 channels on Swin-T; the heads
//! of four tasks with 32 outputs then have 1,946,624 parameters. On the stages of a Swin they have 1,801,472.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::{KernelBackend, project_channels, relu, resize_bilinear};
use serde::{Deserialize, Serialize};

use crate::convolution::{Pointwise, kaiming};
use crate::decoder::Decoder;
use crate::head::{HeadDescriptor, HeadSettings, HeadTask, in_range};
use crate::maps::MapShape;
use crate::normalization::BatchNorm;

pub(crate) const DESCRIPTOR: HeadDescriptor = HeadDescriptor {
    name: "hrnet",
    task: HeadTask::Segmentation,
    summary: "concatenated narrow maps of all stages and one wide layer: the head of MTLoRA",
    source: "HRNet, arXiv 1904.04514; MTLoRA, arXiv 2403.20320",
};

/// Configuration of an [`HrNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HrNetConfig {
    /// Width that each stage is projected to, the finest first.
    pub widths: Vec<usize>,
    /// Width of the layer before the outputs, as a multiple of the sum of the stages' widths.
    pub expansion: usize,
}

impl Default for HrNetConfig {
    fn default() -> Self {
        Self {
            widths: vec![18, 36, 72, 144],
            expansion: 4,
        }
    }
}

/// The head; its logits have the resolution of the finest stage.
#[derive(Module, Debug)]
pub struct HrNet<B: Backend> {
    /// Projection of every stage, `[channels of the stage, width]`.
    pub projections: Vec<Param<Tensor<B, 2>>>,
    /// `[all widths, expansion * all widths]`
    pub hidden: Pointwise<B>,
    /// `[expansion * all widths]`
    pub norm: BatchNorm<B>,
    /// `[expansion * all widths, classes]`
    pub classifier: Pointwise<B>,
}

impl HrNetConfig {
    /// Initialises a head for features with these channels.
    pub fn init<B: Backend>(
        &self,
        inputs: &[MapShape],
        classes: usize,
        device: &B::Device,
    ) -> HrNet<B> {
        let pairs = inputs.iter().zip(&self.widths);
        let projections =
            pairs.map(|(input, &width)| kaiming(width, 1).init([input.channels, width], device));
        let narrow: usize = self.widths.iter().take(inputs.len()).sum();
        let hidden = self.expansion * narrow;
        HrNet {
            projections: projections.collect(),
            hidden: Pointwise::kaiming(narrow, hidden, device),
            norm: BatchNorm::new(hidden, device),
            classifier: Pointwise::classifier(hidden, classes, device),
        }
    }
}

impl HeadSettings for HrNetConfig {
    fn validate(&self, maps: &[MapShape]) -> Result<(), String> {
        let stages = maps.len();
        if self.widths.len() != stages || self.widths.contains(&0) {
            return Err(format!(
                "head.widths = {:?}; it must have a positive width for each of {stages} stages",
                self.widths
            ));
        }
        for &width in &self.widths {
            in_range("widths", width)?;
        }
        in_range("expansion", self.expansion)
    }
}

impl<B: KernelBackend> Decoder<B> for HrNet<B> {
    fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Tensor<B, 4> {
        let [_, _, height, width] = features[0].dims();
        let pairs = features.iter().zip(&self.projections);
        let narrow = pairs.map(|(feature, weight)| {
            let narrow = project_channels(feature.clone(), weight.val(), None);
            resize_bilinear(narrow, [height, width])
        });
        let hidden = self.hidden.forward(Tensor::cat(narrow.collect(), 1));
        self.classifier
            .forward(relu(self.norm.forward(hidden, phase)))
    }
}
