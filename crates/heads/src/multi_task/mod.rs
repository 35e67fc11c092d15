//! The head for several dense tasks: one decoder per task, each with a neck of its own, their losses and loss
//! weights.

pub mod losses;

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Phase, StageShape};
use gradway_kernels::KernelBackend;

use crate::neck::NeckConfig;
use crate::segmentation::{SegmentationHead, SegmentationOutput};
use crate::table::HeadConfig;

/// The decoders of several tasks and the weights of their losses.
#[derive(Module, Debug)]
pub struct MultiTaskHead<B: Backend> {
    /// A decoder for every task, in their order.
    pub decoders: Vec<SegmentationHead<B>>,
    /// The log variance of every task, `[tasks]`, if the weights are learnt.
    pub log_variances: Option<Param<Tensor<B, 1>>>,
}

impl<B: Backend> MultiTaskHead<B> {
    /// Creates decoders for the stages of a backbone, the finest first, each behind a neck of its own and with its
    /// number of outputs.
    pub fn new(
        config: &HeadConfig,
        neck: &NeckConfig,
        stages: &[StageShape],
        outputs: &[usize],
        learns_weights: bool,
        device: &B::Device,
    ) -> Self {
        let decoders = outputs
            .iter()
            .map(|&channels| config.on(neck, stages, channels, device));
        Self {
            decoders: decoders.collect(),
            log_variances: learns_weights.then(|| Initializer::Zeros.init([outputs.len()], device)),
        }
    }
}

impl<B: KernelBackend> MultiTaskHead<B> {
    /// Runs the decoder of a task on its features.
    ///
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    pub fn forward(
        &self,
        task: usize,
        features: &[Tensor<B, 4>],
        phase: Phase,
    ) -> SegmentationOutput<B> {
        let phase = phase.stream(&format!("task {task}"));
        self.decoders[task].forward(features, phase)
    }

    /// Returns the weighted loss of a task: `weight * loss`, or, if the weights are learnt, `weight * (exp(-s)
    /// loss + s)` with the task's log variance `s` (Kendall et al. 2018, arXiv 1705.07115, equation 7 for a
    /// classification).
    ///
    /// # Shapes
    ///
    /// - `loss`, output: `[1]`
    pub fn weighted(&self, task: usize, loss: Tensor<B, 1>, weight: f64) -> Tensor<B, 1> {
        let loss = match &self.log_variances {
            Some(log_variances) => {
                let log_variance = log_variances.val().narrow(0, task, 1);
                loss * log_variance.clone().neg().exp() + log_variance
            }
            None => loss,
        };
        loss.mul_scalar(weight)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::TensorData;

    use super::*;
    use crate::maps::MapShape;
    use crate::segformer::SegFormerConfig;

    #[test]
    fn decoders_of_the_same_weights_drop_other_channels_each() {
        let device = Default::default();
        let config = HeadConfig::SegFormer(SegFormerConfig {
            channels: 64,
            dropout: 0.5,
        });
        let map = MapShape::from(StageShape {
            channels: 8,
            stride: 4,
        });
        let decoder = config.init::<Flex>(&[map], 3, &device);
        let features = || {
            let values = (0..8 * 16).map(|index| (index % 7) as f32 - 3.0);
            let values = TensorData::new(values.collect::<Vec<f32>>(), [1, 8, 4, 4]);
            [Tensor::from_data(values, &device)]
        };
        // Weights are drawn when they are first used; a copy of undrawn ones would draw its own.
        decoder.forward(&features(), Phase::Inference);
        let head = MultiTaskHead {
            decoders: vec![decoder.clone(), decoder],
            log_variances: None,
        };
        let logits = |task, phase| {
            let output = head.forward(task, &features(), phase);
            output.logits.into_data().to_vec::<f32>().unwrap()
        };
        assert_eq!(logits(0, Phase::Inference), logits(1, Phase::Inference));
        let training = Phase::Training { seed: 3 };
        assert_ne!(logits(0, training), logits(1, training));
        assert_eq!(logits(1, training), logits(1, training));
    }
}
