//! The table of tasks.
//!
//! A task is one file or folder beside this one and one line in the invocation of `tasks!` below. The
//! configuration, the scores and the choice of the task follow from it.

use std::path::Path;

use gradway_heads::neck::NeckConfig;
use gradway_heads::{HeadConfig, MapShape};
use gradway_kernels::TrainBackend;
use gradway_metrics::{MetricDescriptor, SegmentationScores};
use serde::{Deserialize, Serialize};

use super::scores::{Headline, Summary};
use super::views::DenseEvaluationConfig;
use super::{
    DetectionConfig, DetectionTask, MultiTask, MultiTaskConfig, MultiTaskScores, ObjectScores,
    SegmentationConfig, SegmentationTask, Task, TaskSettings,
};
use crate::error::TrainError;

/// Work that is the same for every task, on a backend.
pub trait TaskJob<B: TrainBackend> {
    /// What it returns.
    type Output;

    /// Does it for a task.
    fn run<T: Task<B>>(self) -> Self::Output;
}

/// The first argument is a dollar sign, for the macro that this one defines.
macro_rules! tasks {
    ($dollar:tt, $(
        $(#[$documentation:meta])*
        $variant:ident($config:ty, $task:ident, $scores:ty) as $name:ident,
    )+) => {
        /// What a run predicts; its head, or that there are tasks, decides which of these it is.
        ///
        /// In a file its tables stand beside the others: `[head]`, `[augment]`, `[evaluation]`; `[tasks]`
        /// makes it several.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum TaskConfig {
            $($(#[$documentation])* $variant($config),)+
        }

        /// The scores of a task.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(untagged)]
        pub enum Scores {
            $($(#[$documentation])* $variant($scores),)+
        }

        impl Scores {
            /// What was predicted.
            pub fn task(&self) -> gradway_data::TaskKind {
                match self {
                    $(Self::$variant(_) => gradway_data::TaskKind::$variant,)+
                }
            }

            fn summary(&self) -> &dyn Summary {
                match self {
                    $(Self::$variant(scores) => scores,)+
                }
            }

            $(
                /// The scores of this task.
                ///
                /// # Errors
                ///
                /// [`TrainError::Task`] where they are those of another.
                pub fn $name(&self) -> Result<&$scores, TrainError> {
                    match self {
                        Self::$variant(scores) => Ok(scores),
                        _ => Err(TrainError::Task {
                            expected: gradway_data::TaskKind::$variant,
                            found: self.task(),
                        }),
                    }
                }
            )+
        }

        /// Evaluates an expression with a name for the type of a configuration's task,
        /// `with_task!(config.task, T => work.run::<B, T>())`.
        ///
        /// Unlike [`TaskConfig::dispatch`] it can ask more of the type than [`Task`](crate::task::Task), such as a
        /// trait of another crate: the program does not compile before every task has it.
        ///
        /// [`TaskConfig::dispatch`]: crate::task::TaskConfig::dispatch
        #[macro_export]
        macro_rules! with_task {
            ($dollar chosen:expr, $dollar alias:ident => $dollar body:expr) => {
                match &$dollar chosen {
                    $($crate::task::TaskConfig::$variant(_) => {
                        type $dollar alias = $crate::task::$task;
                        $dollar body
                    })+
                }
            };
        }

        impl TaskConfig {
            /// What it predicts.
            pub fn task(&self) -> gradway_data::TaskKind {
                match self {
                    $(Self::$variant(_) => gradway_data::TaskKind::$variant,)+
                }
            }

            /// Does a job for the task of this configuration.
            pub fn dispatch<B: TrainBackend, J: TaskJob<B>>(&self, job: J) -> J::Output {
                match self {
                    $(Self::$variant(_) => job.run::<$task>(),)+
                }
            }

            fn settings(&self) -> &dyn TaskSettings {
                match self {
                    $(Self::$variant(config) => config,)+
                }
            }

            $(
                /// The configuration of this task.
                ///
                /// # Errors
                ///
                /// [`TrainError::Task`] where it is that of another.
                pub fn $name(&self) -> Result<&$config, TrainError> {
                    match self {
                        Self::$variant(config) => Ok(config),
                        _ => Err(TrainError::Task {
                            expected: gradway_data::TaskKind::$variant,
                            found: self.task(),
                        }),
                    }
                }
            )+
        }
    };
}

tasks! {
    $,
    /// The class of every pixel.
    Segmentation(SegmentationConfig, SegmentationTask, SegmentationScores) as segmentation,
    /// Objects.
    Detection(DetectionConfig, DetectionTask, ObjectScores) as detection,
    /// Several dense tasks.
    MultiTask(MultiTaskConfig, MultiTask, MultiTaskScores) as multi_task,
}

impl Scores {
    /// The score that a run's best checkpoint is the best by, a share, more is better.
    pub fn main(&self) -> (MetricDescriptor, f64) {
        self.summary().main()
    }

    /// What reports call the score that the best checkpoint is the best by.
    pub fn main_name(&self) -> String {
        self.summary().main_name()
    }

    /// The scores that reports name, the main one first.
    pub fn headlines(&self) -> Vec<Headline> {
        self.summary().headlines()
    }
}

impl TaskConfig {
    /// The run that tasks are added to, where some are.
    pub fn base(&self) -> Option<&Path> {
        self.settings().base()
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.settings().tasks()
    }

    /// The decoder of dense tasks.
    pub(crate) fn dense_head(&self) -> Option<&HeadConfig> {
        self.settings().dense_head()
    }

    /// Whether its head reads a map of so many, counted from the finest.
    pub(crate) fn reads(&self, map: usize, maps: usize) -> bool {
        self.settings().reads(map, maps)
    }

    /// The neck that its head stands on if all stages of the backbone have one stride.
    pub(crate) fn neck(&self) -> NeckConfig {
        self.settings().neck()
    }

    /// The stride of the coarsest map that its head reads or makes.
    pub(crate) fn coarsest_stride(&self, maps: &[MapShape]) -> f32 {
        self.settings().coarsest_stride(maps)
    }

    /// Images per forward pass of the evaluation.
    pub fn evaluation_batch(&self) -> usize {
        self.settings().evaluation_batch()
    }

    /// The evaluation of dense tasks.
    pub(crate) fn dense_evaluation(&self) -> Option<&DenseEvaluationConfig> {
        self.settings().dense_evaluation()
    }

    /// Height and width of training images; of the largest where they differ.
    pub fn resolution(&self) -> [u32; 2] {
        self.settings().resolution()
    }

    /// Checks the ranges of its values, for maps of these shapes.
    pub(crate) fn validate(&self, maps: &[MapShape]) -> Result<(), TrainError> {
        self.settings().validate(maps)
    }
}
