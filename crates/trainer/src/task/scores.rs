//! What came of an evaluation, whatever the task.

use gradway_metrics::detection::voc::VocScores;
use gradway_metrics::{
    DetectionScores, MetricDescriptor, SegmentationScores, detection, segmentation,
};
use serde::{Deserialize, Serialize};

/// The scores of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scores {
    /// Of semantic segmentation.
    Segmentation(SegmentationScores),
    /// Of detection.
    Objects(Box<ObjectScores>),
}

/// Scores of detected objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectScores {
    /// COCO's, of the boxes.
    pub boxes: DetectionScores,
    /// COCO's, of the masks, where the detector predicts some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masks: Option<DetectionScores>,
    /// Pascal VOC's, where the configuration asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pascal_voc: Option<VocScores>,
}

impl Scores {
    /// The score that a run's best checkpoint is the best by, a share, more is better.
    pub fn main(&self) -> (MetricDescriptor, f64) {
        // A score that is not defined, of a split without a single object, is the worst.
        let or_none = |score: Option<f64>| score.unwrap_or_default();
        match self {
            Self::Segmentation(scores) => (segmentation::MEAN_IOU, scores.mean_iou),
            Self::Objects(scores) => match &scores.pascal_voc {
                Some(voc) => (
                    detection::voc::MEAN_AP_11_POINTS,
                    or_none(voc.mean_ap_11_points),
                ),
                None => (
                    detection::AVERAGE_PRECISION,
                    or_none(scores.boxes.average_precision),
                ),
            },
        }
    }

    /// The scores that reports name, the main one first: shares, more is better.
    pub fn headlines(&self) -> Vec<(&'static str, Option<f64>)> {
        match self {
            Self::Segmentation(scores) => vec![("mean IoU", Some(scores.mean_iou))],
            Self::Objects(scores) => {
                let mut headlines = Vec::new();
                if let Some(voc) = &scores.pascal_voc {
                    headlines.push(("VOC mAP, 11 points", voc.mean_ap_11_points));
                    headlines.push(("VOC mAP, area", voc.mean_ap_area));
                }
                let boxes = &scores.boxes;
                headlines.push(("box AP", boxes.average_precision));
                headlines.push(("box AP50", boxes.ap50));
                if let Some(masks) = &scores.masks {
                    headlines.push(("mask AP", masks.average_precision));
                    headlines.push(("mask AP50", masks.ap50));
                }
                headlines
            }
        }
    }
}
