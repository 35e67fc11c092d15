//! Object detection and instance segmentation.
//!
//! Steps without gradients (anchors, matching, sampling, suppression) work on plain slices, on the host for
//! every device; networks and losses work on tensors.

/// The table of detectors: a part for each network and its file, and in it a line for each detector that is made of
/// it, its name and its configuration.
macro_rules! detectors {
    ($declare:ident) => {
        $declare! {
            RetinaNet in retinanet {
                #[serde(rename = "retinanet")]
                RetinaNet(RetinaNetConfig),
            }
            Rcnn in rcnn {
                FasterRcnn(FasterRcnnConfig),
                MaskRcnn(MaskRcnnConfig),
                CascadeMaskRcnn(CascadeMaskRcnnConfig),
            }
        }
    };
}

pub mod anchors;
pub mod bounds;
pub mod box_head;
pub mod coder;
pub mod dense;
pub mod detector;
mod head;
pub mod losses;
pub mod mask_head;
pub mod matcher;
pub mod nms;
pub mod objects;
pub mod paste;
pub mod pooler;
pub mod proposals;
pub mod pyramid;
pub mod rcnn;
pub mod regions;
pub mod retinanet;
pub mod sampler;
mod settings;

pub use anchors::AnchorGenerator;
pub use bounds::Bounds;
pub use coder::BoxCoder;
pub use detector::{Detector, DetectorConfig};
pub use head::DetectionHead;
pub use matcher::{Match, Matcher};
pub use nms::{nms, nms_by_class};
pub use objects::{BatchTargets, DetectedObject, DetectionLimits, Objects, SegmentedObject};
pub use paste::paste;
pub use pooler::{Pooler, Regions};
pub use pyramid::{ExtraLevels, FeaturePyramid};
pub use sampler::{Sample, Sampler};
pub use settings::{DetectorNetwork, DetectorSettings};
