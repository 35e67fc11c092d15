//! Multi-stage detectors: Faster R-CNN (Ren et al. 2015, arXiv 1506.01497), Mask R-CNN (He et al. 2017, arXiv
//! 1703.06870) and Cascade R-CNN with masks (Cai and Vasconcelos 2018, arXiv 1906.09756).
//!
//! They differ only in their stages: each stage classifies regions and refines their boxes. A cascade has three
//! stages, each trained on the refined boxes of the one before.

mod config;
mod detect;
mod network;
mod variants;

pub use config::{RcnnConfig, StageConfig};
pub use network::{Rcnn, RcnnLosses, StageLosses};
pub use variants::{CascadeMaskRcnnConfig, FasterRcnnConfig, MaskRcnnConfig, RcnnFields};
