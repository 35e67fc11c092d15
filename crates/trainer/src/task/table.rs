//! The table of tasks.
//!
//! A task is one file or folder beside this one and one line in the invocation of `tasks!` below. The
//! configuration and the choice of the task follow from it.

use std::path::Path;

use gradway_heads::HeadConfig;
use gradway_kernels::TrainBackend;
use serde::{Deserialize, Serialize};

use super::{
    DetectionConfig, DetectionTask, MultiTask, MultiTaskConfig, SegmentationConfig,
    SegmentationTask, Task, TaskSettings,
};
use crate::error::TrainError;

/// Work that is the same for every task, on a backend.
pub trait TaskJob<B: TrainBackend> {
    /// What it returns.
    type Output;

    /// Does it for a task.
    fn run<T: Task<B>>(self) -> Self::Output;
}

macro_rules! tasks {
    ($($(#[$documentation:meta])* $variant:ident($config:ident, $task:ident) as $name:ident,)+) => {
        /// What a run predicts; its head, or that there are tasks, decides which of these it is.
        ///
        /// In a file its tables stand beside the others: `[head]`, `[augment]`, `[evaluation]`; `[tasks]`
        /// makes it several.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum TaskConfig {
            $($(#[$documentation])* $variant($config),)+
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
    /// The class of every pixel.
    Segmentation(SegmentationConfig, SegmentationTask) as segmentation,
    /// Objects.
    Detection(DetectionConfig, DetectionTask) as detection,
    /// Several dense tasks.
    MultiTask(MultiTaskConfig, MultiTask) as multi_task,
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

    /// Whether its head reads a stage of the backbone, counted from the finest.
    pub fn reads(&self, stage: usize) -> bool {
        self.settings().reads(stage)
    }

    /// Images per forward pass of the evaluation.
    pub fn evaluation_batch(&self) -> usize {
        self.settings().evaluation_batch()
    }

    /// Height and width of training images; of the largest where they differ.
    pub fn resolution(&self) -> [u32; 2] {
        self.settings().resolution()
    }

    /// Checks the ranges of its values, for a backbone of so many stages.
    pub(crate) fn validate(&self, stages: usize) -> Result<(), TrainError> {
        self.settings().validate(stages)
    }
}
