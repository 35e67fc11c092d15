//! The configuration of multi-stage detectors.

use serde::{Deserialize, Serialize};

use crate::detection::losses::BoxLoss;

/// A stage of an [`Rcnn`](super::Rcnn).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Minimum IoU at which a region is matched with an object.
    pub iou: f32,
    /// Divisors of the offsets.
    pub deviations: [f32; 4],
    /// Weight of its losses.
    pub weight: f32,
}

/// Configuration of an [`Rcnn`](super::Rcnn).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RcnnConfig {
    /// Number of channels of the pyramid.
    pub channels: usize,
    /// Number of convolutions of a box head, each with a batch norm. With convolutions there is one hidden
    /// layer, without them there are two.
    pub box_convolutions: usize,
    /// Width of the hidden layers.
    pub width: usize,
    /// Number of convolutions of a mask head; 0 for no masks.
    pub mask_convolutions: usize,
    /// Whether the box offsets are the same for all classes; required for a cascade.
    pub is_class_agnostic: bool,
    /// The box loss.
    pub box_loss: BoxLoss,
    /// Weight of the stages' box losses.
    pub box_weight: f64,
    /// The stages.
    pub stages: Vec<StageConfig>,
}

impl RcnnConfig {
    /// Faster R-CNN, as in mmdetection.
    pub fn faster() -> Self {
        Self {
            channels: 256,
            box_convolutions: 0,
            width: 1024,
            mask_convolutions: 0,
            is_class_agnostic: false,
            box_loss: BoxLoss::L1,
            box_weight: 1.0,
            stages: vec![StageConfig {
                iou: 0.5,
                deviations: [0.1, 0.1, 0.2, 0.2],
                weight: 1.0,
            }],
        }
    }

    /// Mask R-CNN.
    pub fn mask() -> Self {
        Self {
            mask_convolutions: 4,
            ..Self::faster()
        }
    }

    /// Cascade Mask R-CNN.
    pub fn cascade() -> Self {
        let stage = |iou, scale: f32, weight| StageConfig {
            iou,
            deviations: [0.1, 0.1, 0.2, 0.2].map(|deviation: f32| deviation / scale),
            weight,
        };
        Self {
            is_class_agnostic: true,
            box_loss: BoxLoss::SmoothL1 { beta: 1.0 },
            stages: vec![
                stage(0.5, 1.0, 1.0),
                stage(0.6, 2.0, 0.5),
                stage(0.7, 3.0, 0.25),
            ],
            ..Self::mask()
        }
    }
}
