//! A semantic segmentation head: a neck, a decoder, its auxiliary decoder and their loss.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use gradway_backbone::{Phase, StageShape};
use gradway_kernels::{KernelBackend, cross_entropy};

use crate::decoder::Decoder;
use crate::fcn::{Fcn, FcnConfig};
use crate::head::Auxiliary;
use crate::maps::MapShape;
use crate::neck::{AnyNeck, Neck, NeckConfig};
use crate::table::{AnyDecoder, HeadConfig};

/// A neck, a decoder on its maps and, if the configuration has one, an auxiliary decoder on them.
#[derive(Module, Debug)]
pub struct SegmentationHead<B: Backend> {
    /// Makes the maps that both decoders read.
    pub neck: AnyNeck<B>,
    /// The decoder of the prediction.
    pub decoder: AnyDecoder<B>,
    /// The auxiliary decoder, used only in training.
    pub auxiliary: Option<Fcn<B>>,
    /// Weight of the auxiliary loss.
    pub auxiliary_weight: f64,
}

/// The logits of a forward pass.
#[derive(Debug, Clone)]
pub struct SegmentationOutput<B: KernelBackend> {
    /// `[batch, classes, height, width]` at the decoder's resolution.
    pub logits: Tensor<B, 4>,
    /// Logits of the auxiliary decoder, in training.
    pub auxiliary: Option<Tensor<B, 4>>,
}

impl HeadConfig {
    /// Initialises the head behind a neck, for the stages of a backbone, the finest first.
    pub fn on<B: Backend>(
        &self,
        neck: &NeckConfig,
        stages: &[StageShape],
        classes: usize,
        device: &B::Device,
    ) -> SegmentationHead<B> {
        let maps = neck.maps(stages);
        let is_read = |map| self.reads(map, maps.len());
        SegmentationHead {
            neck: neck.init(stages, &is_read, device),
            ..self.init(&maps, classes, device)
        }
    }

    /// Initialises the head, without a neck, for maps of these shapes.
    pub fn init<B: Backend>(
        &self,
        inputs: &[MapShape],
        classes: usize,
        device: &B::Device,
    ) -> SegmentationHead<B> {
        let beside = |auxiliary: Auxiliary| {
            let config = FcnConfig {
                stage: auxiliary.stage,
                channels: auxiliary.channels,
                dropout: auxiliary.dropout,
            };
            config.init(inputs, classes, device)
        };
        let auxiliary = self.auxiliary();
        SegmentationHead {
            neck: NeckConfig::default().init(&[], &|_| true, device),
            auxiliary_weight: auxiliary.map_or(0.0, |auxiliary| auxiliary.weight),
            auxiliary: auxiliary.map(beside),
            decoder: self.decoder(inputs, classes, device),
        }
    }
}

impl<B: KernelBackend> SegmentationHead<B> {
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    pub fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> SegmentationOutput<B> {
        let auxiliary = match phase {
            Phase::Training { .. } => self.auxiliary.as_ref(),
            Phase::Inference => None,
        };
        let maps = self.neck.forward(features, phase.stream("neck"));
        SegmentationOutput {
            logits: self.decoder.forward(&maps, phase.stream("decoder")),
            auxiliary: auxiliary.map(|head| head.forward(&maps, phase.stream("auxiliary"))),
        }
    }

    /// Returns the cross entropy of the logits, upsampled to the labels, plus the weighted one of the auxiliary
    /// logits; see [`cross_entropy`] for `ignore` and `class_weights`.
    ///
    /// # Shapes
    ///
    /// - `labels`: `[batch, height, width]`
    /// - output: `[1]`
    pub fn loss(
        &self,
        output: SegmentationOutput<B>,
        labels: Tensor<B, 3, Int>,
        ignore: u8,
        class_weights: &[f32],
    ) -> Tensor<B, 1> {
        self.supervised(output, |logits| {
            cross_entropy(logits, labels.clone(), ignore, class_weights)
        })
    }

    /// Returns a loss of the logits, `[1]`, plus the weighted one of the auxiliary logits.
    pub fn supervised(
        &self,
        output: SegmentationOutput<B>,
        loss: impl Fn(Tensor<B, 4>) -> Tensor<B, 1>,
    ) -> Tensor<B, 1> {
        let main = loss(output.logits);
        match output.auxiliary {
            Some(logits) => main + loss(logits) * self.auxiliary_weight,
            None => main,
        }
    }
}
