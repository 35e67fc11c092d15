//! The part of a configuration that belongs to its task: head, loss, augmentation, evaluation.

use std::path::Path;

use gradway_data::{
    AugmentConfig, DetectionAugmentConfig, DetectionSizeConfig, EvaluationSize, Task,
};
use gradway_heads::HeadConfig;
use gradway_heads::detection::{DetectionLimits, DetectorConfig};
use serde::{Deserialize, Serialize};

use super::multi_task::MultiTaskConfig;
use crate::error::TrainError;

/// What a run predicts; its head, or that there are tasks, decides which of these it is.
///
/// In a file its tables stand beside the others: `[head]`, `[augment]`, `[evaluation]`; `[tasks]` makes it
/// several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskConfig {
    /// The class of every pixel.
    Segmentation(SegmentationConfig),
    /// Objects.
    Detection(DetectionConfig),
    /// Several dense tasks.
    MultiTask(MultiTaskConfig),
}

/// Semantic segmentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentationConfig {
    /// The decoder.
    pub head: HeadConfig,
    /// The loss.
    #[serde(default)]
    pub loss: LossConfig,
    /// Augmentation of training images.
    #[serde(default)]
    pub augment: AugmentConfig,
    /// Evaluation.
    #[serde(default)]
    pub evaluation: SegmentationEvaluationConfig,
}

/// Object detection and instance segmentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectionConfig {
    /// The detector.
    pub head: DetectorConfig,
    /// Augmentation of training images.
    #[serde(default)]
    pub augment: DetectionAugmentConfig,
    /// Evaluation.
    #[serde(default)]
    pub evaluation: DetectionEvaluationConfig,
}

/// The loss of a segmentation head.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Weight of every class in the mean over pixels, for sets with rare classes; empty: all equal.
    pub class_weights: Vec<f32>,
}

/// Evaluation of segmentation, and of several dense tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentationEvaluationConfig {
    /// Images per forward pass.
    pub batch_size: usize,
    /// Size of the images.
    pub size: EvaluationSize,
}

impl Default for SegmentationEvaluationConfig {
    fn default() -> Self {
        Self {
            batch_size: 4,
            size: EvaluationSize::default(),
        }
    }
}

/// Evaluation of detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectionEvaluationConfig {
    /// Images per forward pass.
    pub batch_size: usize,
    /// The longest and the shortest edge that an image is resized to fit within.
    pub scale: [u32; 2],
    /// What the sides of a batch are padded to a multiple of.
    pub stride: u32,
    /// What becomes a detection.
    pub limits: DetectionLimits,
    /// Which scores there are.
    pub protocol: Protocol,
}

/// How detections are scored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// COCO's twelve numbers. Objects that Pascal VOC calls difficult count neither for nor against.
    #[default]
    Coco,
    /// Pascal VOC's as well; the run is led by that over 11 points, as mmdetection has it for VOC 2007.
    PascalVoc,
}

impl Default for DetectionEvaluationConfig {
    fn default() -> Self {
        let DetectionSizeConfig { scale, stride } = DetectionSizeConfig::default();
        Self {
            batch_size: 1,
            scale,
            stride,
            limits: DetectionLimits::default(),
            protocol: Protocol::default(),
        }
    }
}

impl DetectionEvaluationConfig {
    /// How large an image is made.
    pub fn size(&self) -> DetectionSizeConfig {
        DetectionSizeConfig {
            scale: self.scale,
            stride: self.stride,
        }
    }
}

impl LossConfig {
    fn validate(&self) -> Result<(), String> {
        let is_wrong = |weight: &&f32| !(weight.is_finite() && **weight > 0.0);
        match self.class_weights.iter().find(is_wrong) {
            Some(weight) => Err(format!(
                "loss.class_weights has {weight}; every weight must be a positive number"
            )),
            None => Ok(()),
        }
    }
}

impl TaskConfig {
    /// What it predicts.
    pub fn task(&self) -> Task {
        match self {
            Self::Segmentation(_) => Task::Segmentation,
            Self::Detection(_) => Task::Detection,
            Self::MultiTask(_) => Task::MultiTask,
        }
    }

    /// The run that tasks are added to, where some are.
    pub fn base(&self) -> Option<&Path> {
        match self {
            Self::Segmentation(_) | Self::Detection(_) => None,
            Self::MultiTask(config) => config.tasks.base.as_deref(),
        }
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        match self {
            Self::Segmentation(_) | Self::Detection(_) => 1,
            Self::MultiTask(config) => config.tasks.names.len(),
        }
    }

    /// Whether its head reads a stage of the backbone, counted from the finest.
    pub fn reads(&self, stage: usize) -> bool {
        match self {
            Self::Segmentation(config) => config.head.reads(stage),
            Self::MultiTask(config) => config.head.reads(stage),
            Self::Detection(config) => config.head.reads(stage),
        }
    }

    /// The decoder of dense tasks.
    pub(crate) fn dense_head(&self) -> Option<&HeadConfig> {
        match self {
            Self::Segmentation(config) => Some(&config.head),
            Self::MultiTask(config) => Some(&config.head),
            Self::Detection(_) => None,
        }
    }

    /// Images per forward pass of the evaluation.
    pub fn evaluation_batch(&self) -> usize {
        match self {
            Self::Segmentation(config) => config.evaluation.batch_size,
            Self::Detection(config) => config.evaluation.batch_size,
            Self::MultiTask(config) => config.evaluation.batch_size,
        }
    }

    /// Height and width of training images; of the largest where they differ.
    pub fn resolution(&self) -> [u32; 2] {
        match self {
            Self::Segmentation(config) => config.augment.crop_size,
            Self::MultiTask(config) => config.augment.crop_size,
            Self::Detection(config) => {
                let largest = config.augment.scales.iter().max_by_key(|[a, b]| a * b);
                let [long, short] = largest.copied().unwrap_or_default();
                [short, long]
            }
        }
    }

    /// That of segmentation.
    ///
    /// # Errors
    ///
    /// [`TrainError::Task`] where it is another.
    pub fn segmentation(&self) -> Result<&SegmentationConfig, TrainError> {
        match self {
            Self::Segmentation(config) => Ok(config),
            _ => Err(self.is_not(Task::Segmentation)),
        }
    }

    /// That of detection.
    ///
    /// # Errors
    ///
    /// [`TrainError::Task`] where it is another.
    pub fn detection(&self) -> Result<&DetectionConfig, TrainError> {
        match self {
            Self::Detection(config) => Ok(config),
            _ => Err(self.is_not(Task::Detection)),
        }
    }

    /// That of several dense tasks.
    ///
    /// # Errors
    ///
    /// [`TrainError::Task`] where it is another.
    pub fn multi_task(&self) -> Result<&MultiTaskConfig, TrainError> {
        match self {
            Self::MultiTask(config) => Ok(config),
            _ => Err(self.is_not(Task::MultiTask)),
        }
    }

    fn is_not(&self, expected: Task) -> TrainError {
        TrainError::Task {
            expected,
            found: self.task(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), TrainError> {
        let wrong = |reason: String| TrainError::Config {
            origin: "configuration".to_string(),
            reason,
        };
        match self {
            Self::Segmentation(config) => {
                // Every backbone of the table has four stages.
                config.head.validate(4).map_err(wrong)?;
                config.loss.validate().map_err(wrong)?;
                config.augment.validate()?;
                config.evaluation.size.validate()?;
            }
            Self::Detection(config) => {
                config.head.validate().map_err(wrong)?;
                let limits = config.evaluation.limits.validate();
                limits.map_err(|reason| wrong(format!("evaluation.{reason}")))?;
                config.augment.validate()?;
                config.evaluation.size().validate()?;
            }
            Self::MultiTask(config) => {
                config.head.validate(4).map_err(wrong)?;
                config.tasks.validate().map_err(wrong)?;
                config.augment.validate()?;
                config.evaluation.size.validate()?;
            }
        }
        Ok(())
    }
}
