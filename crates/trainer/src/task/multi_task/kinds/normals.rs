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

    /// Vectors of length 1.
    fn meaning<B: KernelBackend>(&self, output: Tensor<B, 4>) -> Tensor<B, 4> {
        unit(output)
    }

    /// Normals of a mirrored image point the other way along the first axis.
    fn unflip<B: KernelBackend>(&self, meaning: Tensor<B, 4>) -> Tensor<B, 4> {
        let across = meaning.clone().narrow(1, 0, 1).neg();
        let others = meaning.narrow(1, 1, 2);
        Tensor::cat(vec![across, others], 1)
    }

    /// The direction of the mean.
    fn predict<B: KernelBackend>(&self, means: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction> {
        let normals = means.into_iter().map(unit).collect();
        predicted_values(normals, Appearance::Directions)
    }

    /// Only directions count.
    fn predict_once<B: KernelBackend>(&self, outputs: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction> {
        self.predict(outputs)
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
