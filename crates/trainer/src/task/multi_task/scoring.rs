//! The scores of every task.

use std::collections::BTreeMap;

use gradway_data::{BatchLabels, DenseBatch, DenseTask, IGNORE};
use gradway_metrics::{
    ConfusionMatrix, DepthEvaluation, EdgeConfig, EdgeEvaluation, NormalsEvaluation,
    SaliencyEvaluation,
};

use super::{MultiTaskPrediction, TaskPrediction, TasksConfig};
use crate::error::TrainError;
use crate::task::{MultiTaskScores, Scorer, Scores, TaskLabels, TaskScores};

/// Compares the predictions of every task with the truth.
#[derive(Debug)]
pub struct MultiTaskScorer {
    evaluations: BTreeMap<DenseTask, Evaluation>,
    single: BTreeMap<DenseTask, f64>,
}

/// The counts of a task.
#[derive(Debug)]
enum Evaluation {
    Classes(ConfusionMatrix),
    Saliency(SaliencyEvaluation),
    Normals(Box<NormalsEvaluation>),
    Depth(DepthEvaluation),
    Edges(EdgeEvaluation),
}

impl MultiTaskScorer {
    /// Nothing is counted yet.
    pub(super) fn new(tasks: &[TaskLabels], config: &TasksConfig) -> Result<Self, TrainError> {
        let evaluation = |labels: &TaskLabels| Ok((labels.task, Evaluation::new(labels, config)?));
        let evaluations = tasks.iter().map(evaluation);
        Ok(Self {
            evaluations: evaluations.collect::<Result<_, TrainError>>()?,
            single: config.single.clone(),
        })
    }
}

impl Scorer<DenseBatch, MultiTaskPrediction> for MultiTaskScorer {
    fn add(
        &mut self,
        batch: &DenseBatch,
        predictions: Vec<MultiTaskPrediction>,
    ) -> Result<(), TrainError> {
        for (item, prediction) in batch.items.iter().zip(predictions) {
            for (task, predicted) in &prediction.tasks {
                let truth = item.labels_of(*task);
                let truth = truth.ok_or(TrainError::NoLabels { task: *task })?;
                if let Some(evaluation) = self.evaluations.get_mut(task) {
                    evaluation.add(*task, predicted, &truth, prediction.width)?;
                }
            }
        }
        Ok(())
    }

    fn scores(self) -> Result<Scores, TrainError> {
        let tasks = self.evaluations.into_iter();
        let tasks = tasks.map(|(task, evaluation)| (task, evaluation.scores()));
        Ok(Scores::MultiTask(Box::new(MultiTaskScores::new(
            tasks.collect(),
            &self.single,
        )?)))
    }
}

impl Evaluation {
    fn new(labels: &TaskLabels, config: &TasksConfig) -> Result<Self, TrainError> {
        let edges = EdgeConfig {
            max_distance: config.edge_distance,
            ..EdgeConfig::default()
        };
        Ok(match labels.task {
            DenseTask::SemanticSegmentation | DenseTask::HumanParts => {
                Self::Classes(ConfusionMatrix::new(labels.classes.len()))
            }
            DenseTask::Saliency => Self::Saliency(SaliencyEvaluation::new()),
            DenseTask::SurfaceNormals => Self::Normals(Box::default()),
            DenseTask::Depth => Self::Depth(DepthEvaluation::new()),
            DenseTask::Edges => Self::Edges(edges.init()?),
        })
    }

    fn add(
        &mut self,
        task: DenseTask,
        predicted: &TaskPrediction,
        truth: &BatchLabels,
        width: usize,
    ) -> Result<(), TrainError> {
        use BatchLabels::{Classes, Values};
        use TaskPrediction as Predicted;

        match (self, predicted, truth) {
            (Self::Classes(matrix), Predicted::Classes(predicted), Classes(truth)) => {
                matrix.add(predicted, truth, IGNORE)?;
            }
            (Self::Saliency(counts), Predicted::Probabilities(predicted), Classes(truth)) => {
                counts.add(predicted, truth, IGNORE)?;
            }
            (Self::Edges(counts), Predicted::Probabilities(predicted), Classes(truth)) => {
                counts.add(predicted, truth, IGNORE, width)?;
            }
            (Self::Normals(counts), Predicted::Normals(predicted), Values { data, .. }) => {
                counts.add(predicted, data)?;
            }
            (Self::Depth(counts), Predicted::Depth(predicted), Values { data, .. }) => {
                counts.add(predicted, data)?;
            }
            _ => return Err(TrainError::NoLabels { task }),
        }
        Ok(())
    }

    fn scores(self) -> TaskScores {
        match self {
            Self::Classes(matrix) => TaskScores::Segmentation(matrix.scores()),
            Self::Saliency(counts) => TaskScores::Saliency(counts.scores()),
            Self::Normals(counts) => TaskScores::Normals(counts.scores()),
            Self::Depth(counts) => TaskScores::Depth(counts.scores()),
            Self::Edges(counts) => TaskScores::Edges(counts.scores()),
        }
    }
}
