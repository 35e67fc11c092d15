//! The scores of semantic segmentation.

use gradway_metrics::{MetricDescriptor, SegmentationScores, segmentation};

use crate::task::scores::{Headline, Summary};

impl Summary for SegmentationScores {
    fn main(&self) -> (MetricDescriptor, f64) {
        (segmentation::MEAN_IOU, self.mean_iou)
    }

    fn headlines(&self) -> Vec<Headline> {
        vec![Headline::share("mean IoU", Some(self.mean_iou))]
    }
}
