//! Configuration of a run: typed TOML.

mod fault;
mod layer;
mod load;
mod overrides;
mod sections;
mod source;

use gradway_adapters::{MethodConfig, Placement};
use gradway_backbone::{BackboneConfig, EMBEDDED, Precision, WeightSource, WeightsError};
use gradway_data::{DatasetConfig, LoaderConfig, NetworkInput, Normalization};
use gradway_heads::MapShape;
use gradway_heads::neck::NeckConfig;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::optimizer::OptimizerConfig;
use crate::schedule::ScheduleConfig;

pub use crate::task::{
    DenseEvaluationConfig, DetectionConfig, DetectionEvaluationConfig, LossConfig, MultiTaskConfig,
    Protocol, SegmentationConfig, TaskConfig, TasksConfig, Weighting,
};
pub use load::{MethodOverrides, dataset, load, method, parse};
pub use overrides::Overrides;
pub(crate) use sections::to_table;
pub use sections::to_toml;
pub use source::Source;

/// The configuration of a run. It is saved with the run in its resolved form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of initialisation, sample order, augmentation and dropout.
    #[serde(default)]
    pub seed: u64,
    /// The backbone.
    pub backbone: BackboneConfig,
    /// The tuning method.
    pub method: MethodConfig,
    /// The dataset.
    pub data: DatasetConfig,
    /// The neck between backbone and head; chosen by both if absent, see [`RunConfig::neck`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neck: Option<NeckConfig>,
    /// Head, loss, augmentation and evaluation.
    pub task: TaskConfig,
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
}

/// Maximum batch size and number of epochs and of generated samples, so that their products do not overflow and
/// the order of the samples fits in memory.
const MOST: usize = 1 << 24;

/// Reading of batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Images per forward pass. The total batch is this times `optimizer.accumulation`.
    pub batch_size: usize,
    /// Number of threads that read and augment samples; the order of samples does not depend on it.
    pub workers: usize,
    /// Batches kept ready.
    pub prefetch: usize,
    /// Whether images that do not fill a step at the end of an epoch are dropped, different ones in every
    /// epoch. Otherwise the last batch is smaller, and the last step may have fewer batches.
    pub drop_last: bool,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            batch_size: 8,
            workers: 1,
            prefetch: 2,
            drop_last: true,
        }
    }
}

/// Length of a run and what is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LengthConfig {
    /// Passes over the training split.
    pub epochs: usize,
    /// Epochs between evaluations; 0 evaluates only after the last epoch. The last epoch is always evaluated.
    pub evaluate_every: usize,
    /// Optimiser steps between saves of the `last` checkpoint; 0 saves once per epoch.
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

impl RunConfig {
    /// Returns the neck: the configured one, or, where all stages of the backbone have one stride, the one that
    /// the head stands on then.
    ///
    /// # Errors
    ///
    /// [`TrainError::Backbone`] if the backbone is not in the table.
    pub fn neck(&self) -> Result<NeckConfig, TrainError> {
        if let Some(neck) = &self.neck {
            return Ok(neck.clone());
        }
        let stages = MapShape::of_stages(&self.backbone.descriptor()?.stages);
        Ok(match MapShape::have_one_stride(&stages) {
            true => self.task.neck(),
            false => NeckConfig::default(),
        })
    }

    /// Returns the shapes of the maps that the head reads, the finest first, with the channels of the backbone.
    fn maps(&self) -> Result<Vec<MapShape>, TrainError> {
        Ok(self.neck()?.maps(&self.backbone.descriptor()?.stages))
    }

    /// Returns whether the head reads each stage of the backbone, the finest first.
    ///
    /// # Errors
    ///
    /// [`TrainError::Backbone`] if the backbone is not in the table.
    pub fn stages_read(&self) -> Result<Vec<bool>, TrainError> {
        let (neck, maps) = (self.neck()?, self.maps()?.len());
        let stages = self.backbone.descriptor()?.stages.len();
        Ok(neck.stages_read(stages, maps, |map| self.task.reads(map, maps)))
    }

    /// Returns the input that backbone, neck and head expect: its sides are multiples of the stride of the
    /// coarsest map that one of them makes.
    ///
    /// # Errors
    ///
    /// [`TrainError::Backbone`] if the backbone is not in the table.
    pub fn input(&self) -> Result<NetworkInput, TrainError> {
        let backbone = self.backbone.descriptor()?;
        let coarsest = self.task.coarsest_stride(&self.maps()?).ceil() as usize;
        let stride = backbone.coarsest_stride();
        Ok(NetworkInput {
            normalization: Normalization {
                mean: backbone.mean,
                std: backbone.std,
            },
            stride: coarsest.max(stride).next_multiple_of(stride),
        })
    }

    /// Checks what the types cannot express: names of the tables and ranges of numbers.
    ///
    /// # Errors
    ///
    /// [`TrainError`] with the key and its value.
    pub fn validate(&self) -> Result<(), TrainError> {
        let stages = self.backbone.descriptor()?.stages.as_slice();
        let wrong = TrainError::config;
        if !(0.0..1.0).contains(&self.backbone.drop_path) {
            return Err(wrong(format!(
                "backbone.drop_path = {}; it must be in 0..1",
                self.backbone.drop_path
            )));
        }
        if let Some(key) = &self.backbone.weights_key
            && self
                .backbone
                .weights
                .as_deref()
                .is_none_or(|weights| weights == EMBEDDED)
        {
            return Err(wrong(format!(
                "backbone.weights_key = \"{key}\" without a file in backbone.weights"
            )));
        }
        if let Some(weights) = &self.backbone.weights {
            let source: Result<WeightSource, _> = weights.parse().map_err(WeightsError::Reference);
            let reference = source.and_then(|source| source.reference(&self.backbone.name));
            reference.map_err(|error| TrainError::base_weights(weights, error))?;
        }
        self.backbone.require_effect().map_err(wrong)?;
        self.method.validate().map_err(wrong)?;
        let (precision, method) = (self.backbone.precision, self.method.descriptor());
        if precision != Precision::F32 && method.placement != Placement::Frozen {
            return Err(wrong(format!(
                "backbone.precision = \"{}\", but method.name = \"{}\" back-propagates through the backbone; \
                 it must be \"f32\", or the method one that leaves the backbone frozen",
                precision.name(),
                method.name
            )));
        }
        self.optimizer.validate().map_err(wrong)?;
        self.optimizer.rate(self.total_batch()).map_err(wrong)?;
        self.schedule.validate().map_err(wrong)?;
        let positive = [
            ("loader.batch_size", self.loader.batch_size),
            ("loader.prefetch", self.loader.prefetch),
            ("train.epochs", self.train.epochs),
            ("evaluation.batch_size", self.task.evaluation_batch()),
        ];
        for (key, value) in positive {
            if value == 0 {
                return Err(wrong(format!("{key} = 0; it must be at least 1")));
            }
        }
        let mut counts = vec![("optimizer.accumulation", self.optimizer.accumulation)];
        if let DatasetConfig::Synthetic(data) = &self.data {
            counts.push(("data.train_samples", data.train_samples));
            counts.push(("data.val_samples", data.val_samples));
        }
        for (key, value) in positive.into_iter().chain(counts) {
            if value > MOST {
                return Err(wrong(format!("{key} = {value}; it must be at most {MOST}")));
            }
        }
        self.neck()?.validate(stages).map_err(wrong)?;
        self.task.validate(&self.maps()?)?;
        if let Some(evaluation) = self.task.dense_evaluation() {
            evaluation.preparation(self.input()?).validate()?;
        }
        self.require_values(self.loader.batch_size)?;
        if let Ok(detection) = self.task.detection() {
            let input = self.input()?;
            detection.augment.padded(input)?;
            detection.evaluation.size().padded(input)?;
        }
        if let Some(reason) = self.cannot_add_tasks() {
            return Err(wrong(reason));
        }
        self.data.require(self.task.task())?;
        Ok(())
    }

    /// Rejects a batch size at which the head would normalise a single value per channel.
    ///
    /// # Errors
    ///
    /// [`TrainError::SingleValue`].
    pub(crate) fn require_values(&self, batch: usize) -> Result<(), TrainError> {
        let size = self.task.resolution().map(|side| side as usize);
        let Some(head) = self.task.dense_head() else {
            return Ok(());
        };
        if head.normalised_values(batch, size, &self.maps()?) >= 2 {
            return Ok(());
        }
        Err(TrainError::SingleValue {
            head: head.name(),
            batch,
            size,
        })
    }

    /// Returns why tasks cannot be added to a trained model, if the configuration adds some: nothing that the
    /// other tasks use may change.
    fn cannot_add_tasks(&self) -> Option<String> {
        let tasks = &self.task.multi_task().ok()?.tasks;
        tasks.base.as_ref()?;
        if tasks.weighting == Weighting::Uncertainty {
            let reason = "tasks.weighting = \"uncertainty\" with tasks.base: the variances of all tasks are one \
                          parameter, but those of the other tasks must not change; it must be \"fixed\"";
            return Some(reason.to_string());
        }
        let (name, reason) = (
            self.method.descriptor().name,
            self.method.adds_tasks().err()?,
        );
        Some(format!(
            "method.name = \"{name}\" with tasks.base: {reason}"
        ))
    }

    /// Reading of batches of this size.
    pub(crate) fn loader_of(&self, batch_size: usize) -> LoaderConfig {
        LoaderConfig {
            batch_size,
            workers: self.loader.workers,
            prefetch: self.loader.prefetch,
            drop_last: self.loader.drop_last,
            seed: self.seed,
            ..LoaderConfig::default()
        }
    }

    /// Images per optimiser step.
    pub fn total_batch(&self) -> usize {
        let passes = self.optimizer.accumulation;
        self.loader.batch_size.saturating_mul(passes)
    }
}
