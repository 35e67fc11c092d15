//! The direction that the visible surface faces.

use burn::tensor::Tensor;
use gradway_data::BatchLabels;
use gradway_heads::multi_task::losses::{normals_l1, unit};
use gradway_kernels::KernelBackend;
use gradway_metrics::{MetricDescriptor, NormalsEvaluation, NormalsScores, normals};

use super::kind::{Decoded, DenseKind, predicted_values};
use crate::error::TrainError;
use crate::task::TaskLabels;
use crate::task::multi_task::{Appearance, TaskPrediction, TasksConfig};

/// A vector of length 1, trained with the difference of its components.
#[derive(Debug, Clone)]
pub struct Normals;

impl DenseKind for Normals {
    type Counts = Box<NormalsEvaluation>;
    type Scores = NormalsScores;

    fn new(_: &TaskLabels, _: &TasksConfig) -> Self {
        Self
    }

    fn channels(&self) -> usize {
        3
    }

    fn loss<B: KernelBackend>(
        &self,
        decoded: Decoded<'_, B>,
        labels: BatchLabels,
    ) -> Option<Tensor<B, 1>> {
        let normals = decoded.values(labels)?;
        Some(decoded.supervised(|output| normals_l1(output, normals.clone())))
    }

    fn predict<B: KernelBackend>(&self, outputs: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction> {
        let normals = outputs.into_iter().map(unit).collect();
        predicted_values(normals, Appearance::Directions)
    }

    fn counts(&self) -> Result<Box<NormalsEvaluation>, TrainError> {
        Ok(Box::default())
    }

    fn add(
        counts: &mut Box<NormalsEvaluation>,
        predicted: &TaskPrediction,
        truth: &BatchLabels,
        _: usize,
    ) -> Option<Result<(), TrainError>> {
        let added = counts.add(predicted.values()?, truth.values()?);
        Some(added.map_err(TrainError::from))
    }

    fn scores(counts: Box<NormalsEvaluation>) -> NormalsScores {
        counts.scores()
    }

    fn main(scores: &NormalsScores) -> (MetricDescriptor, Option<f64>) {
        (normals::MEAN_ANGULAR_ERROR, scores.mean_angular_error)
    }
}
