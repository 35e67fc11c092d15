//! What reports say of an evaluation, whatever the task.

use gradway_metrics::{MetricDescriptor, segmentation};

/// A score that reports name.
#[derive(Debug, Clone, PartialEq)]
pub struct Headline {
    /// What was scored, and how.
    pub name: String,
    /// Unit of the value: `share`, `degrees`, `metres`.
    pub unit: &'static str,
    /// None where it is not defined.
    pub value: Option<f64>,
}

impl Headline {
    /// A score that is a share.
    pub(super) fn share(name: &str, value: Option<f64>) -> Self {
        Self {
            name: name.to_string(),
            unit: segmentation::MEAN_IOU.unit,
            value,
        }
    }
}

/// What reports say of the scores of a task.
pub(super) trait Summary {
    /// The score that a run's best checkpoint is the best by, a share, more is better.
    fn main(&self) -> (MetricDescriptor, f64);

    /// What reports call it.
    fn main_name(&self) -> String {
        let first = self.headlines().into_iter().next();
        first.map_or_else(|| self.main().0.name.to_string(), |first| first.name)
    }

    /// The scores that reports name, the main one first.
    fn headlines(&self) -> Vec<Headline>;
}
