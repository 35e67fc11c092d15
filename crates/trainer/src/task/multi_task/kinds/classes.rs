//! A class for every pixel, of semantic segmentation and human parts.

use burn::tensor::Tensor;
use gradway_data::{BatchLabels, IGNORE};
use gradway_kernels::KernelBackend;
use gradway_metrics::{ConfusionMatrix, MetricDescriptor, SegmentationScores, segmentation};

use super::kind::{Decoded, DenseKind};
use crate::error::TrainError;
use crate::task::TaskLabels;
use crate::task::maps::{class_maps, probabilities};
use crate::task::multi_task::{TaskPrediction, TasksConfig};

/// The most likely of the dataset's classes, trained with cross entropy.
#[derive(Debug, Clone)]
pub struct Classes {
    classes: usize,
}

impl DenseKind for Classes {
    type Counts = ConfusionMatrix;
    type Scores = SegmentationScores;

    fn new(labels: &TaskLabels, _: &TasksConfig) -> Self {
        Self {
            classes: labels.classes.len(),
        }
    }

    fn channels(&self) -> usize {
        self.classes
    }

    fn loss<B: KernelBackend>(
        &self,
        decoded: Decoded<'_, B>,
        labels: BatchLabels,
    ) -> Option<Tensor<B, 1>> {
        let labels = decoded.classes(labels)?;
        let Decoded {
            decoder, output, ..
        } = decoded;
        Some(decoder.loss(output, labels, IGNORE, &[]))
    }

    /// Probabilities. A mirrored image has the same classes, as in training: no class of ours is a side.
    fn meaning<B: KernelBackend>(&self, output: Tensor<B, 4>) -> Tensor<B, 4> {
        probabilities(output)
    }

    fn predict<B: KernelBackend>(&self, means: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction> {
        let maps = class_maps(means).into_iter();
        maps.map(TaskPrediction::Classes).collect()
    }

    /// The largest logit is that of the most likely class.
    fn predict_once<B: KernelBackend>(&self, outputs: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction> {
        self.predict(outputs)
    }

    fn counts(&self) -> Result<ConfusionMatrix, TrainError> {
        Ok(ConfusionMatrix::new(self.classes))
    }

    fn add(
        counts: &mut ConfusionMatrix,
        predicted: &TaskPrediction,
        truth: &BatchLabels,
        _: usize,
    ) -> Option<Result<(), TrainError>> {
        let added = counts.add(predicted.classes()?, truth.classes()?, IGNORE);
        Some(added.map_err(TrainError::from))
    }

    fn scores(counts: ConfusionMatrix) -> SegmentationScores {
        counts.scores()
    }

    fn main(scores: &SegmentationScores) -> (MetricDescriptor, Option<f64>) {
        (segmentation::MEAN_IOU, Some(scores.mean_iou))
    }
}
