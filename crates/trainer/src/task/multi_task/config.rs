//! The configuration of several dense tasks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gradway_data::{AugmentConfig, DenseTask};
use gradway_heads::neck::NeckConfig;
use gradway_heads::{HeadConfig, MapShape};
use gradway_metrics::EdgeConfig;
use serde::{Deserialize, Serialize};

use super::kinds::usual_weight;
use crate::error::TrainError;
use crate::task::TaskSettings;
use crate::task::views::DenseEvaluationConfig;

/// Several dense tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiTaskConfig {
    /// Which tasks, and how their losses are weighed.
    pub tasks: TasksConfig,
    /// The decoder; every task has one of its own.
    pub head: HeadConfig,
    /// Augmentation of training images.
    #[serde(default)]
    pub augment: AugmentConfig,
    /// Evaluation.
    #[serde(default)]
    pub evaluation: DenseEvaluationConfig,
}

/// Which tasks, and how their losses are weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TasksConfig {
    /// The tasks; their order is that of [`DenseTask`] whatever the order here.
    pub names: Vec<DenseTask>,
    /// Weights of losses that differ from the usual ones ([`weight`](Self::weight)).
    #[serde(default)]
    pub weights: BTreeMap<DenseTask, f64>,
    /// Whether the weights are learnt.
    #[serde(default)]
    pub weighting: Weighting,
    /// Weight of the pixels on edges in the loss of edges; 0.95 on PASCAL-Context, 0.8 on NYUD-v2.
    #[serde(default = "edge_weight")]
    pub edge_weight: f64,
    /// How far a predicted edge may be from a true one when it is scored, as a share of the image's diagonal;
    /// 0.0075 on BSDS, 0.011 on NYUD-v2.
    #[serde(default = "edge_distance")]
    pub edge_distance: f64,
    /// Metres that an output of 1 stands for: a scene tens of metres deep is far from what a decoder starts
    /// with.
    #[serde(default = "depth_unit")]
    pub depth_unit: f64,
    /// Tasks that are added to a trained model: their own parts are trained, and nothing else.
    #[serde(default)]
    pub added: Vec<DenseTask>,
    /// The run that the other tasks come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<PathBuf>,
    /// The score of every task trained alone, which the relative improvement is measured against.
    #[serde(default)]
    pub single: BTreeMap<DenseTask, f64>,
}

fn edge_weight() -> f64 {
    0.95
}

fn edge_distance() -> f64 {
    EdgeConfig::default().max_distance
}

fn depth_unit() -> f64 {
    1.0
}

/// How the losses of several tasks are weighed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// By the weights alone.
    #[default]
    Fixed,
    /// By a learnt variance of each besides (Kendall et al. 2018, arXiv 1705.07115).
    Uncertainty,
}

impl TasksConfig {
    /// The tasks in their order.
    pub fn tasks(&self) -> Vec<DenseTask> {
        let mut tasks = self.names.clone();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    /// Those that are trained: all, or those that are added.
    pub fn trained(&self) -> Vec<DenseTask> {
        let mut tasks = self.tasks();
        if !self.added.is_empty() {
            tasks.retain(|task| self.added.contains(task));
        }
        tasks
    }

    /// Weight of a task's loss: as configured, or as the recipes on PASCAL-Context and NYUD-v2 have it.
    pub fn weight(&self, task: DenseTask) -> f64 {
        let configured = self.weights.get(&task).copied();
        configured.unwrap_or_else(|| usual_weight(task))
    }

    fn validate(&self) -> Result<(), String> {
        if self.names.is_empty() {
            return Err("tasks.names = []; it must name a task".to_string());
        }
        let tasks = self.tasks();
        if tasks.len() != self.names.len() {
            return Err("tasks.names has a task twice".to_string());
        }
        let others = self.weights.keys().chain(self.single.keys());
        if let Some(task) = others.copied().find(|task| !tasks.contains(task)) {
            let name = task.name();
            return Err(format!(
                "tasks.weights or tasks.single has `{name}`, which is not in tasks.names"
            ));
        }
        if let Some(task) = self.added.iter().find(|task| !tasks.contains(task)) {
            let name = task.name();
            return Err(format!(
                "tasks.added has `{name}`, which is not in tasks.names"
            ));
        }
        match (self.added.is_empty(), &self.base) {
            (true, None) => {}
            (false, Some(_)) if self.trained().len() < tasks.len() => {}
            (false, Some(_)) => {
                return Err(
                    "tasks.added has all of tasks.names; there is no task left to add them to"
                        .into(),
                );
            }
            (true, Some(_)) => {
                return Err("tasks.base without tasks.added: nothing would be trained".into());
            }
            (false, None) => {
                return Err(
                    "tasks.added without tasks.base, the run that they are added to".into(),
                );
            }
        }
        let is_wrong = |value: f64| !(value.is_finite() && value > 0.0);
        for (key, values) in [("weights", &self.weights), ("single", &self.single)] {
            if let Some((task, value)) = values.iter().find(|(_, value)| is_wrong(**value)) {
                let name = task.name();
                return Err(format!(
                    "tasks.{key}.{name} = {value}; it must be a positive number"
                ));
            }
        }
        if is_wrong(self.depth_unit) {
            return Err(format!(
                "tasks.depth_unit = {}; it must be a positive number",
                self.depth_unit
            ));
        }
        if !(0.0..=1.0).contains(&self.edge_distance) {
            return Err(format!(
                "tasks.edge_distance = {}; it must be in 0..=1",
                self.edge_distance
            ));
        }
        if !(0.0..=1.0).contains(&self.edge_weight) {
            return Err(format!(
                "tasks.edge_weight = {}; it must be in 0..=1",
                self.edge_weight
            ));
        }
        Ok(())
    }
}

impl TaskSettings for MultiTaskConfig {
    fn reads(&self, map: usize, maps: usize) -> bool {
        self.head.reads(map, maps)
    }

    fn neck(&self) -> NeckConfig {
        self.head.neck()
    }

    fn coarsest_stride(&self, maps: &[MapShape]) -> f32 {
        self.head.coarsest_stride(maps)
    }

    fn dense_head(&self) -> Option<&HeadConfig> {
        Some(&self.head)
    }

    fn dense_evaluation(&self) -> Option<&DenseEvaluationConfig> {
        Some(&self.evaluation)
    }

    fn evaluation_batch(&self) -> usize {
        self.evaluation.batch_size
    }

    fn resolution(&self) -> [u32; 2] {
        self.augment.crop_size
    }

    fn tasks(&self) -> usize {
        self.tasks.names.len()
    }

    fn base(&self) -> Option<&Path> {
        self.tasks.base.as_deref()
    }

    fn validate(&self, maps: &[MapShape]) -> Result<(), TrainError> {
        self.head.validate(maps).map_err(TrainError::config)?;
        self.tasks.validate().map_err(TrainError::config)?;
        Ok(self.augment.validate()?)
    }
}
