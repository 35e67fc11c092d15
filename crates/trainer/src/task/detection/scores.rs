//! The scores of detected objects.

use gradway_metrics::detection::voc::{MEAN_AP_11_POINTS, VocScores};
use gradway_metrics::{DetectionScores, MetricDescriptor, detection};
use serde::{Deserialize, Serialize};

use crate::task::scores::{Headline, Summary};

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

impl Summary for ObjectScores {
    fn main(&self) -> (MetricDescriptor, f64) {
        // A score that is not defined, of a split without a single object, is the worst.
        let or_none = |score: Option<f64>| score.unwrap_or_default();
        match &self.pascal_voc {
            Some(voc) => (MEAN_AP_11_POINTS, or_none(voc.mean_ap_11_points)),
            None => (
                detection::AVERAGE_PRECISION,
                or_none(self.boxes.average_precision),
            ),
        }
    }

    fn headlines(&self) -> Vec<Headline> {
        let share = Headline::share;
        let mut headlines = Vec::new();
        if let Some(voc) = &self.pascal_voc {
            headlines.push(share("VOC mAP, 11 points", voc.mean_ap_11_points));
            headlines.push(share("VOC mAP, area", voc.mean_ap_area));
        }
        headlines.push(share("box AP", self.boxes.average_precision));
        headlines.push(share("box AP50", self.boxes.ap50));
        if let Some(masks) = &self.masks {
            headlines.push(share("mask AP", masks.average_precision));
            headlines.push(share("mask AP50", masks.ap50));
        }
        headlines
    }
}
