//! The scores of every task.

use std::collections::BTreeMap;

use gradway_data::{DenseBatch, DenseTask};

use super::MultiTaskPrediction;
use super::kinds::{Counts, Kind};
use super::scores::MultiTaskScores;
use crate::error::TrainError;
use crate::task::{Scorer, Scores};

/// Compares the predictions of every task with the truth.
#[derive(Debug)]
pub struct MultiTaskScorer {
    counts: BTreeMap<DenseTask, Counts>,
    single: BTreeMap<DenseTask, f64>,
}

impl MultiTaskScorer {
    /// Nothing is counted yet; `single` has the score of every task trained alone, or nothing.
    pub(super) fn new<'a>(
        tasks: impl IntoIterator<Item = (DenseTask, &'a Kind)>,
        single: BTreeMap<DenseTask, f64>,
    ) -> Result<Self, TrainError> {
        let counts = |(task, kind): (DenseTask, &Kind)| Ok((task, kind.counts()?));
        let counts = tasks.into_iter().map(counts);
        Ok(Self {
            counts: counts.collect::<Result<_, TrainError>>()?,
            single,
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
            for (&task, predicted) in &prediction.tasks {
                let truth = item.labels_of(task).ok_or(TrainError::NoLabels { task })?;
                if let Some(counts) = self.counts.get_mut(&task) {
                    let added = counts.add(predicted, &truth, prediction.width);
                    added.ok_or(TrainError::NoLabels { task })??;
                }
            }
        }
        Ok(())
    }

    fn scores(self) -> Result<Scores, TrainError> {
        let tasks = self.counts.into_iter();
        let tasks = tasks.map(|(task, counts)| (task, counts.scores()));
        let scores = MultiTaskScores::new(tasks.collect(), &self.single)?;
        Ok(Scores::MultiTask(scores))
    }
}
