//! What detectors of several steps differ in.

use serde::{Deserialize, Serialize};

use crate::detection::losses::BoxLoss;

/// A stage of an [`Rcnn`](super::Rcnn).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// IoU from which on a region is for an object.
    pub iou: f32,
    /// What the offsets are divided by.
    pub deviations: [f32; 4],
    /// Weight of its losses.
    pub weight: f32,
}

/// Configuration of an [`Rcnn`](super::Rcnn).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RcnnConfig {
    /// Width of the pyramid.
    pub channels: usize,
    /// Convolutions of a box head, each with a batch norm; with any, one hidden layer follows them, and
    /// without two.
    pub box_convolutions: usize,
    /// Width of the hidden layers.
    pub width: usize,
    /// Convolutions of a mask head; 0: no masks.
    pub mask_convolutions: usize,
    /// Whether a region is moved alike for all classes; a cascade needs it.
    pub is_class_agnostic: bool,
    /// Loss of the boxes.
    pub box_loss: BoxLoss,
    /// Weight of the stages' box losses.
    pub box_weight: f64,
    /// The stages.
    pub stages: Vec<StageConfig>,
}

impl RcnnConfig {
    /// Faster R-CNN, as mmdetection has it.
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
