//! The distance of the visible surface.

use burn::tensor::Tensor;
use gradway_data::BatchLabels;
use gradway_heads::multi_task::losses::depth_l1;
use gradway_kernels::KernelBackend;
use gradway_metrics::{DepthEvaluation, DepthScores, MetricDescriptor, depth};

use super::kind::{Decoded, DenseKind, predicted_values};
use crate::error::TrainError;
use crate::task::TaskLabels;
use crate::task::multi_task::{Appearance, TaskPrediction, TasksConfig};

/// A distance in metres, trained with its difference.
#[derive(Debug, Clone)]
pub struct Depth {
    /// Metres that an output of 1 stands for.
    unit: f64,
}

impl DenseKind for Depth {
    type Counts = DepthEvaluation;
    type Scores = DepthScores;

    fn new(_: &TaskLabels, config: &TasksConfig) -> Self {
        Self {
            unit: config.depth_unit,
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
        let depth = decoded.values(labels)?;
        Some(decoded.supervised(|output| depth_l1(output * self.unit, depth.clone())))
    }

    /// Metres.
    fn meaning<B: KernelBackend>(&self, output: Tensor<B, 4>) -> Tensor<B, 4> {
        output * self.unit
    }

    /// What is shown larger is taken to be nearer.
    fn unzoom<B: KernelBackend>(&self, meaning: Tensor<B, 4>, factor: f64) -> Tensor<B, 4> {
        meaning * factor
    }

    fn predict<B: KernelBackend>(&self, means: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction> {
        predicted_values(means, Appearance::NearToFar)
    }

    fn counts(&self) -> Result<DepthEvaluation, TrainError> {
        Ok(DepthEvaluation::new())
    }

    fn add(
        counts: &mut DepthEvaluation,
        predicted: &TaskPrediction,
        truth: &BatchLabels,
        _: usize,
    ) -> Option<Result<(), TrainError>> {
        let added = counts.add(predicted.values()?, truth.values()?);
        Some(added.map_err(TrainError::from))
    }

    fn scores(counts: DepthEvaluation) -> DepthScores {
        counts.scores()
    }

    fn main(scores: &DepthScores) -> (MetricDescriptor, Option<f64>) {
        (depth::DEPTH_RMSE, scores.depth_rmse)
    }
}
