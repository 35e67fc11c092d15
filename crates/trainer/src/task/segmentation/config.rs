//! The configuration of segmentation.

use gradway_data::AugmentConfig;
use gradway_heads::neck::NeckConfig;
use gradway_heads::{HeadConfig, MapShape};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::task::TaskSettings;
use crate::task::views::DenseEvaluationConfig;

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
    pub evaluation: DenseEvaluationConfig,
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
        let is_wrong = |weight: &&f32| !(weight.is_finite() && **weight > 0.0);
        match self.class_weights.iter().find(is_wrong) {
            Some(weight) => Err(format!(
                "loss.class_weights has {weight}; every weight must be a positive number"
            )),
            None => Ok(()),
        }
    }
}

impl TaskSettings for SegmentationConfig {
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

    fn validate(&self, maps: &[MapShape]) -> Result<(), TrainError> {
        self.head.validate(maps).map_err(TrainError::config)?;
        self.loss.validate().map_err(TrainError::config)?;
        Ok(self.augment.validate()?)
    }
}
