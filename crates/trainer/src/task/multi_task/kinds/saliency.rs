//! Whether a pixel belongs to what draws the eye.

use burn::tensor::Tensor;
use gradway_data::{BatchLabels, IGNORE};
use gradway_heads::multi_task::losses::PositiveWeight;
use gradway_kernels::KernelBackend;
use gradway_metrics::{MetricDescriptor, SaliencyEvaluation, SaliencyScores, saliency};

use super::binary;
use super::kind::{Decoded, DenseKind};
use crate::error::TrainError;
use crate::task::TaskLabels;
use crate::task::multi_task::{TaskPrediction, TasksConfig};

/// The probability of being salient, trained with a cross entropy that is balanced batch by batch.
#[derive(Debug, Clone)]
pub struct Saliency;

impl DenseKind for Saliency {
    type Counts = SaliencyEvaluation;
    type Scores = SaliencyScores;

    fn new(_: &TaskLabels, _: &TasksConfig) -> Self {
        Self
    }

    fn channels(&self) -> usize {
        1
    }

    fn loss<B: KernelBackend>(
        &self,
        decoded: Decoded<'_, B>,
        labels: BatchLabels,
    ) -> Option<Tensor<B, 1>> {
        binary::loss(decoded, labels, PositiveWeight::Balanced)
    }

    fn meaning<B: KernelBackend>(&self, output: Tensor<B, 4>) -> Tensor<B, 4> {
        binary::meaning(output)
    }

    fn predict<B: KernelBackend>(&self, means: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction> {
        binary::predict(means)
    }

    fn counts(&self) -> Result<SaliencyEvaluation, TrainError> {
        Ok(SaliencyEvaluation::new())
    }

    fn add(
        counts: &mut SaliencyEvaluation,
        predicted: &TaskPrediction,
        truth: &BatchLabels,
        _: usize,
    ) -> Option<Result<(), TrainError>> {
        let added = counts.add(predicted.values()?, truth.classes()?, IGNORE);
        Some(added.map_err(TrainError::from))
    }

    fn scores(counts: SaliencyEvaluation) -> SaliencyScores {
        counts.scores()
    }

    fn main(scores: &SaliencyScores) -> (MetricDescriptor, Option<f64>) {
        (saliency::MAX_JACCARD, scores.max_jaccard)
    }
}
