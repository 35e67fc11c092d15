//! Configuration of a run: typed TOML.

mod load;

use gradway_adapters::MethodConfig;
use gradway_backbone::BackboneConfig;
use gradway_data::{AugmentConfig, DatasetConfig, EvaluationSize, Normalization};
use gradway_heads::HeadConfig;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::optimizer::OptimizerConfig;
use crate::schedule::ScheduleConfig;

pub use load::{dataset, load, method, parse};

/// Everything that decides a run. The resolved configuration is saved with the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of initialisation, order, augmentation and dropout.
    #[serde(default)]
    pub seed: u64,
    /// The backbone.
    pub backbone: BackboneConfig,
    /// The tuning method.
    pub method: MethodConfig,
    /// The decoder.
    pub head: HeadConfig,
    /// The loss.
    #[serde(default)]
    pub loss: LossConfig,
    /// The dataset.
    pub data: DatasetConfig,
    /// Augmentation of training images.
    #[serde(default)]
    pub augment: AugmentConfig,
    /// Reading of batches.
    #[serde(default)]
    pub loader: BatchConfig,
    /// Optimiser.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// Learning-rate schedule.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// Length of the run and what is saved.
    #[serde(default)]
    pub train: LengthConfig,
    /// Evaluation.
    #[serde(default)]
    pub evaluation: EvaluationConfig,
}

/// The loss of a segmentation head.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Weight of every class in the mean over pixels, for sets with rare classes; empty: all equal.
    pub class_weights: Vec<f32>,
}

impl LossConfig {
    fn validate(&self) -> Result<(), String> {
        match self
            .class_weights
            .iter()
            .find(|w| !(w.is_finite() && **w > 0.0))
        {
            Some(weight) => Err(format!(
                "loss.class_weights has {weight}; every weight must be a positive number"
            )),
            None => Ok(()),
        }
    }
}

/// Reading of batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Images per forward pass; times `optimizer.accumulation`, the total batch.
    pub batch_size: usize,
    /// Threads that read and augment; the order of samples does not depend on it.
    pub workers: usize,
    /// Batches kept ready.
    pub prefetch: usize,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            batch_size: 8,
            workers: 1,
            prefetch: 2,
        }
    }
}

/// Length of a run and what is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LengthConfig {
    /// Passes over the training split.
    pub epochs: usize,
    /// Epochs between evaluations; the last epoch is always evaluated. 0: only the last.
    pub evaluate_every: usize,
    /// Optimiser steps between saves of the `last` checkpoint; 0: once per epoch.
    pub checkpoint_every: usize,
}

impl Default for LengthConfig {
    fn default() -> Self {
        Self {
            epochs: 12,
            evaluate_every: 1,
            checkpoint_every: 0,
        }
    }
}

/// Evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Images per forward pass.
    pub batch_size: usize,
    /// Size of the images.
    pub size: EvaluationSize,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            batch_size: 4,
            size: EvaluationSize::default(),
        }
    }
}

impl RunConfig {
    /// The statistics that the backbone's images are normalised with.
    ///
    /// # Errors
    ///
    /// [`TrainError::Backbone`] where the backbone is in no table.
    pub fn normalization(&self) -> Result<Normalization, TrainError> {
        let backbone = self.backbone.descriptor()?;
        Ok(Normalization {
            mean: backbone.mean,
            std: backbone.std,
        })
    }

    /// Checks what the types cannot: names of the tables and ranges of numbers.
    ///
    /// # Errors
    ///
    /// [`TrainError`] that names the key and its value.
    pub fn validate(&self) -> Result<(), TrainError> {
        self.backbone.descriptor()?;
        let wrong = |reason: String| TrainError::Config {
            origin: "configuration".to_string(),
            reason,
        };
        if !(0.0..1.0).contains(&self.backbone.drop_path) {
            return Err(wrong(format!(
                "backbone.drop_path = {}; it must be in 0..1",
                self.backbone.drop_path
            )));
        }
        self.method.validate().map_err(wrong)?;
        // Every backbone of the table has four stages.
        self.head.validate(4).map_err(wrong)?;
        self.loss.validate().map_err(wrong)?;
        self.optimizer.validate().map_err(wrong)?;
        self.schedule.validate().map_err(wrong)?;
        let positive = [
            ("loader.batch_size", self.loader.batch_size),
            ("loader.prefetch", self.loader.prefetch),
            ("train.epochs", self.train.epochs),
            ("evaluation.batch_size", self.evaluation.batch_size),
        ];
        for (key, value) in positive {
            if value == 0 {
                return Err(wrong(format!("{key} = 0; it must be at least 1")));
            }
        }
        self.augment.validate()?;
        self.evaluation.size.validate()?;
        Ok(())
    }
}
