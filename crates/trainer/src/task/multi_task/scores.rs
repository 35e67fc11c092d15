//! The scores of several dense tasks.

use std::collections::BTreeMap;

use gradway_data::DenseTask;
use gradway_metrics::relative::RELATIVE_IMPROVEMENT;
use gradway_metrics::{MetricDescriptor, MetricFamily, TaskScore, relative_improvement};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::kinds::TaskScores;
use crate::error::TrainError;
use crate::task::scores::{Headline, Summary};

/// What a run of several tasks is the best by where nothing is known of each task alone.
const MEAN_OF_TASKS: MetricDescriptor = MetricDescriptor {
    name: "mean_of_tasks",
    family: MetricFamily::Relative,
    summary: "mean over the tasks of the score, or of 1 / (1 + error), to tell checkpoints of a run apart",
    higher_is_better: true,
    unit: "share",
};

/// Scores of several dense tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiTaskScores {
    /// By task.
    #[serde(deserialize_with = "by_task")]
    pub tasks: BTreeMap<DenseTask, TaskScores>,
    /// Over each task alone, where the configuration has those scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_improvement: Option<f64>,
}

/// Reads the scores of every task as its name says.
fn by_task<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<DenseTask, TaskScores>, D::Error> {
    let written = BTreeMap::<DenseTask, serde_json::Value>::deserialize(deserializer)?;
    let scores = written.into_iter().map(|(task, scores)| {
        TaskScores::read(task, scores)
            .map(|scores| (task, scores))
            .map_err(|error| D::Error::custom(format!("{task}: {error}")))
    });
    scores.collect()
}

impl TaskScores {
    /// The main score under a name.
    pub fn headline(&self, name: impl FnOnce(&MetricDescriptor) -> String) -> Headline {
        let (metric, value) = self.main();
        Headline {
            name: name(&metric),
            unit: metric.unit,
            value,
        }
    }

    /// The main score as a share of which more is better, whatever its unit.
    fn goodness(&self) -> f64 {
        match self.main() {
            (_, None) => 0.0,
            (metric, Some(value)) if metric.higher_is_better => value,
            (_, Some(error)) => 1.0 / (1.0 + error),
        }
    }
}

impl MultiTaskScores {
    /// The scores of tasks; `single` has the main scores of each of them alone, or nothing.
    ///
    /// # Errors
    ///
    /// [`TrainError::Relative`]: scores that cannot be compared.
    pub fn new(
        tasks: BTreeMap<DenseTask, TaskScores>,
        single: &BTreeMap<DenseTask, f64>,
    ) -> Result<Self, TrainError> {
        let of = |task: &DenseTask, metric, value| TaskScore {
            task: task.name().to_string(),
            metric,
            value,
        };
        let relative = match single.is_empty() {
            true => None,
            false => {
                let main = tasks.iter().map(|(task, scores)| (task, scores.main()));
                let references = single.iter().filter_map(|(task, value)| {
                    let (metric, _) = tasks.get(task)?.main();
                    Some(of(task, metric, *value))
                });
                // A score that is not defined, of a split without a single label, is not compared.
                let scores: Option<Vec<_>> = main
                    .map(|(task, (metric, value))| Some(of(task, metric, value?)))
                    .collect();
                let references: Vec<_> = references.collect();
                let compared = scores.map(|scores| relative_improvement(&scores, &references));
                compared.transpose()?
            }
        };
        Ok(Self {
            relative_improvement: relative.map(|relative| relative.relative_improvement),
            tasks,
        })
    }

    fn mean(&self) -> f64 {
        let sum: f64 = self.tasks.values().map(TaskScores::goodness).sum();
        sum / self.tasks.len().max(1) as f64
    }
}

impl Summary for MultiTaskScores {
    fn main(&self) -> (MetricDescriptor, f64) {
        match self.relative_improvement {
            Some(relative) => (RELATIVE_IMPROVEMENT, relative),
            None => (MEAN_OF_TASKS, self.mean()),
        }
    }

    /// The mean is none of the headlines.
    fn main_name(&self) -> String {
        match self.headlines().into_iter().next() {
            Some(first) if self.relative_improvement.is_some() => first.name,
            _ => "mean of tasks".to_string(),
        }
    }

    fn headlines(&self) -> Vec<Headline> {
        let relative = self.relative_improvement;
        let relative = relative.map(|value| Headline::share("improvement", Some(value)));
        let tasks = self.tasks.iter();
        let tasks =
            tasks.map(|(task, scores)| scores.headline(|metric| format!("{task} {}", metric.name)));
        relative.into_iter().chain(tasks).collect()
    }
}
