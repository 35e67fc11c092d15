//! Whether a pixel lies on a boundary.

use burn::tensor::Tensor;
use gradway_data::{BatchLabels, IGNORE};
use gradway_heads::multi_task::losses::PositiveWeight;
use gradway_kernels::KernelBackend;
use gradway_metrics::{EdgeConfig, EdgeEvaluation, EdgeScores, MetricDescriptor, edges};

use super::binary;
use super::kind::{Decoded, DenseKind};
use crate::error::TrainError;
use crate::task::TaskLabels;
use crate::task::multi_task::{TaskPrediction, TasksConfig};

/// The probability of an edge, trained with a cross entropy of fixed weights.
#[derive(Debug, Clone)]
pub struct Edges {
    /// Weight of the pixels on edges.
    weight: f64,
    /// How far a predicted edge may be from a true one, as a share of the diagonal.
    distance: f64,
}

impl DenseKind for Edges {
    type Counts = EdgeEvaluation;
    type Scores = EdgeScores;

    fn new(_: &TaskLabels, config: &TasksConfig) -> Self {
        Self {
            weight: config.edge_weight,
            distance: config.edge_distance,
        }
    }

    fn channels(&self) -> usize {
        1
    }

    fn loss<B: KernelBackend>(
        &self,
        decoded: Decoded<'_, B>,
        labels: BatchLabels,
    ) -> Option<Tensor<B, 1>> {
        binary::loss(decoded, labels, PositiveWeight::Fixed(self.weight))
    }

    fn meaning<B: KernelBackend>(&self, output: Tensor<B, 4>) -> Tensor<B, 4> {
        binary::meaning(output)
    }

    fn predict<B: KernelBackend>(&self, means: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction> {
        binary::predict(means)
    }

    fn counts(&self) -> Result<EdgeEvaluation, TrainError> {
        let config = EdgeConfig {
            max_distance: self.distance,
            ..EdgeConfig::default()
        };
        Ok(config.init()?)
    }

    fn add(
        counts: &mut EdgeEvaluation,
        predicted: &TaskPrediction,
        truth: &BatchLabels,
        width: usize,
    ) -> Option<Result<(), TrainError>> {
        let added = counts.add(predicted.values()?, truth.classes()?, IGNORE, width);
        Some(added.map_err(TrainError::from))
    }

    fn scores(counts: EdgeEvaluation) -> EdgeScores {
        counts.scores()
    }

    fn main(scores: &EdgeScores) -> (MetricDescriptor, Option<f64>) {
        (edges::ODS_F, scores.ods_f)
    }
}
