//! Relative improvement: the gain of a multi-task model over single-task models.
//!
//! Each task's score is compared with the score of a model trained for that task alone. The difference is
//! divided by the latter and signed so that more is better; the results are averaged over the tasks (Maninis et
//! al., CVPR 2019). Papers call it delta and report it in per cent. It is meaningful only for models that are
//! trained and evaluated in the same way.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::{MetricDescriptor, MetricFamily};

/// Improvement over single-task models, averaged over the tasks.
pub const RELATIVE_IMPROVEMENT: MetricDescriptor = MetricDescriptor {
    name: "relative_improvement",
    family: MetricFamily::Relative,
    summary: "improvement over models of one task each, as a share of their scores, averaged over the tasks",
    higher_is_better: true,
    unit: "share",
};

/// A task's score.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskScore {
    /// Name of the task, unique among those compared.
    pub task: String,
    /// The metric.
    pub metric: MetricDescriptor,
    /// The value.
    pub value: f64,
}

/// A side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The model that is compared.
    Scores,
    /// The single-task models.
    References,
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Scores => "scores",
            Self::References => "references",
        })
    }
}

/// Scores that cannot be compared.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum RelativeError {
    /// No task on either side.
    #[error("there is no task to compare")]
    NoTasks,
    /// A task that one side lacks.
    #[error("task `{task}` is not in the {side}; both sides must have the same tasks")]
    Missing {
        /// The task.
        task: String,
        /// The side that lacks it.
        side: Side,
    },
    /// A task that one side has twice.
    #[error("task `{task}` occurs twice in the {side}")]
    Twice {
        /// The task.
        task: String,
        /// The side.
        side: Side,
    },
    /// A task whose two scores are of different metrics.
    #[error("task `{task}` has a score of {score} but a reference of {reference}")]
    MetricMismatch {
        /// The task.
        task: String,
        /// Name of the metric of its score.
        score: &'static str,
        /// Name of the metric of its reference.
        reference: &'static str,
    },
    /// A score that is NaN or infinite.
    #[error("score of task `{task}` is {value}; expected a finite number")]
    NotFinite {
        /// The task.
        task: String,
        /// Its score.
        value: f64,
    },
    /// A reference that is not finite and positive.
    #[error("reference of task `{task}` is {value}; expected a finite number above 0")]
    Reference {
        /// The task.
        task: String,
        /// Its reference.
        value: f64,
    },
}

/// The improvement on a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskImprovement {
    /// Name of the task.
    pub task: String,
    /// Improvement as a share of the reference; positive is better, whatever the metric.
    pub improvement: f64,
}

/// Improvements over single-task models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelativeScores {
    /// Mean over the tasks.
    pub relative_improvement: f64,
    /// Every task, in the order of the scores.
    pub tasks: Vec<TaskImprovement>,
}

/// Compares `scores` with `references`, the scores of single-task models, in any order.
///
/// # Errors
/// If there are no tasks, the two sides have different tasks or metrics, a score is not finite, or a reference
/// is not finite and positive.
pub fn relative_improvement(
    scores: &[TaskScore],
    references: &[TaskScore],
) -> Result<RelativeScores, RelativeError> {
    check_tasks(scores, references, Side::References)?;
    check_tasks(references, scores, Side::Scores)?;
    let tasks = scores
        .iter()
        .map(|score| improvement(score, references))
        .collect::<Result<Vec<_>, _>>()?;
    if tasks.is_empty() {
        return Err(RelativeError::NoTasks);
    }
    let sum: f64 = tasks.iter().map(|task| task.improvement).sum();
    Ok(RelativeScores {
        relative_improvement: sum / tasks.len() as f64,
        tasks,
    })
}

/// Checks that every task of one side is on the other exactly once.
fn check_tasks(from: &[TaskScore], on: &[TaskScore], side: Side) -> Result<(), RelativeError> {
    for score in from {
        let task = score.task.clone();
        match on.iter().filter(|other| other.task == task).count() {
            0 => return Err(RelativeError::Missing { task, side }),
            1 => {}
            _ => return Err(RelativeError::Twice { task, side }),
        }
    }
    Ok(())
}

fn improvement(
    score: &TaskScore,
    references: &[TaskScore],
) -> Result<TaskImprovement, RelativeError> {
    let task = score.task.clone();
    let Some(reference) = references.iter().find(|other| other.task == task) else {
        let side = Side::References;
        return Err(RelativeError::Missing { task, side });
    };
    if score.metric != reference.metric {
        return Err(RelativeError::MetricMismatch {
            task,
            score: score.metric.name,
            reference: reference.metric.name,
        });
    }
    let value = score.value;
    if !value.is_finite() {
        return Err(RelativeError::NotFinite { task, value });
    }
    let single = reference.value;
    if !(single.is_finite() && single > 0.0) {
        let value = single;
        return Err(RelativeError::Reference { task, value });
    }
    let gain = (value - single) / single;
    let improvement = if score.metric.higher_is_better {
        gain
    } else {
        -gain
    };
    Ok(TaskImprovement { task, improvement })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{normals, saliency, segmentation};

    /// The four tasks of PASCAL-Context.
    fn pascal(values: [f64; 4]) -> Vec<TaskScore> {
        let tasks = [
            ("semantic segmentation", segmentation::MEAN_IOU),
            ("human parts", segmentation::MEAN_IOU),
            ("saliency", saliency::MAX_JACCARD),
            ("normals", normals::MEAN_ANGULAR_ERROR),
        ];
        let scores = tasks.into_iter().zip(values);
        let scores = scores.map(|((task, metric), value)| TaskScore {
            task: task.into(),
            metric,
            value,
        });
        scores.collect()
    }

    #[test]
    fn less_is_better_where_the_metric_says_so() {
        let scores = pascal([0.5, 0.6, 0.5, 18.0]);
        let mut references = pascal([0.4, 0.6, 1.0, 20.0]);
        references.reverse();
        let scores = relative_improvement(&scores, &references).unwrap();
        let expected = [0.25, 0.0, -0.5, 0.1];
        for (task, expected) in scores.tasks.iter().zip(expected) {
            assert!((task.improvement - expected).abs() < 1e-12, "{task:?}");
        }
        assert_eq!(scores.tasks[3].task, "normals");
        assert!((scores.relative_improvement + 0.15 / 4.0).abs() < 1e-12);
    }

    #[test]
    fn improvements_are_those_that_papers_print() {
        // Swin-T on PASCAL-Context: the models of one task each, then MTLoRA with rank 64, an adapter
        // and Polyhistor, with what their papers print. Both have two digits after the point, which
        // allows for an error of 2e-4: half a unit of the normals is 2.8e-4 of 17.97, over four.
        let single = pascal([67.21, 61.93, 62.35, 17.97]);
        for (scores, printed) in [
            ([67.90, 59.84, 65.40, 16.60], 0.0255),
            ([69.21, 57.38, 61.28, 18.83], -0.0271),
            ([70.87, 59.54, 65.47, 17.47], 0.0234),
        ] {
            let found = relative_improvement(&pascal(scores), &single).unwrap();
            let difference = found.relative_improvement - printed;
            assert!(difference.abs() < 2e-4, "{found:?}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let some = pascal([0.5, 0.6, 0.5, 18.0]);
        let error = |scores: &[TaskScore], references: &[TaskScore]| {
            relative_improvement(scores, references)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(&[], &[]), "there is no task to compare");
        let side = "both sides must have the same tasks";
        assert_eq!(
            error(&some, &some[1..]),
            format!("task `semantic segmentation` is not in the references; {side}")
        );
        assert_eq!(
            error(&some[..3], &some),
            format!("task `normals` is not in the scores; {side}")
        );
        let twice = [&some[..], &some[3..]].concat();
        assert_eq!(
            error(&some, &twice),
            "task `normals` occurs twice in the references"
        );
        assert_eq!(
            error(&twice, &some),
            "task `normals` occurs twice in the scores"
        );
        let mut other = some.clone();
        other[3].metric = normals::MEDIAN_ANGULAR_ERROR;
        assert_eq!(
            error(&other, &some),
            "task `normals` has a score of median_angular_error but a reference of \
             mean_angular_error"
        );
        let wrong = pascal([0.5, 0.6, f64::NAN, 18.0]);
        assert_eq!(
            error(&wrong, &some),
            "score of task `saliency` is NaN; expected a finite number"
        );
        for (value, name) in [(0.0, "0"), (-1.0, "-1"), (f64::INFINITY, "inf")] {
            let wrong = pascal([0.5, value, 0.5, 18.0]);
            assert_eq!(
                error(&some, &wrong),
                format!(
                    "reference of task `human parts` is {name}; expected a finite number above 0"
                )
            );
        }
    }
}
