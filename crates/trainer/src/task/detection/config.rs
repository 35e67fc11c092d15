//! The configuration of detection.

use gradway_data::{DetectionAugmentConfig, DetectionSizeConfig};
use gradway_heads::MapShape;
use gradway_heads::detection::{DetectionLimits, DetectorConfig};
use gradway_heads::neck::NeckConfig;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::task::TaskSettings;

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

/// Evaluation of detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectionEvaluationConfig {
    /// Images per forward pass.
    pub batch_size: usize,
    /// The longest and the shortest edge that an image is resized to fit within.
    pub scale: [u32; 2],
    /// What the sides of a batch are padded to a multiple of, itself a multiple of the coarsest stride of
    /// backbone, neck and head; that one if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<u32>,
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

impl TaskSettings for DetectionConfig {
    fn reads(&self, map: usize, _: usize) -> bool {
        self.head.reads(map)
    }

    fn neck(&self) -> NeckConfig {
        self.head.neck()
    }

    fn evaluation_batch(&self) -> usize {
        self.evaluation.batch_size
    }

    fn resolution(&self) -> [u32; 2] {
        let largest = self.augment.scales.iter().max_by_key(|[a, b]| a * b);
        let [long, short] = largest.copied().unwrap_or_default();
        [short, long]
    }

    fn validate(&self, maps: &[MapShape]) -> Result<(), TrainError> {
        self.head.validate(maps).map_err(TrainError::config)?;
        let limits = self.evaluation.limits.validate();
        limits.map_err(|reason| TrainError::config(format!("evaluation.{reason}")))?;
        self.augment.validate()?;
        self.evaluation.size().validate()?;
        Ok(())
    }
}
