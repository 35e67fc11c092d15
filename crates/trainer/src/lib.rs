//! Training: configuration, optimisation, checkpoints, resume, evaluation, memory accounting.
//!
//! [`RunConfig`] describes a run. A [`Task`] defines what is predicted, and how it is read, trained and scored.
//! [`Model`] is an encoder with the task's head. [`Trainer`] runs single optimiser steps, and [`train`] a whole
//! run with checkpoints and logs. Nothing here prints: an [`Observer`] receives the events of a run.

mod checkpoint;
pub mod config;
mod cost;
mod error;
mod evaluate;
mod guard;
mod identity;
mod log;
mod median;
pub mod memory;
mod model;
mod observer;
mod optimizer;
mod origin;
mod provenance;
mod run;
mod run_directory;
pub mod schedule;
mod step;
pub mod task;
mod weights;

pub use checkpoint::{Checkpoint, TrainingState};
pub use config::RunConfig;
pub use cost::{StepBytes, StepCost, step_cost};
pub use error::TrainError;
pub use evaluate::{Evaluation, evaluate};
pub use median::median;
pub use model::{Detection, Inference, ManyTasks, Model, Segmentation, Trainable};
pub use observer::{Event, Observer, Silent};
pub use optimizer::{Optimizer, OptimizerConfig, OptimizerName, RateFactors, RateScaling};
pub use origin::Origin;
pub use provenance::Provenance;
pub use run::{RunOutcome, evaluate_run, train, train_with};
pub use run_directory::RunDirectory;
pub use schedule::{Schedule, ScheduleConfig};
pub use step::{StepReport, Trainer};
pub use task::{
    DetectionTask, Headline, Labelled, Labels, MultiTask, MultiTaskScores, Scores,
    SegmentationTask, Task,
};
pub use weights::{BaseWeights, fetch_weights, is_resolved_as};
