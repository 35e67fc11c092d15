//! Detectors of two steps and more: Faster R-CNN (Ren et al. 2015, arXiv 1506.01497), Mask R-CNN (He et
//! al. 2017, arXiv 1703.06870) and Cascade R-CNN with masks (Cai and Vasconcelos 2018, arXiv
//! 1906.09756).
//!
//! They differ in their stages alone: each takes regions, says what is in them, and moves them. A cascade
//! has three, every one trained on what the one before has moved.

mod config;
mod detect;
mod network;
mod variants;

pub use config::{RcnnConfig, StageConfig};
pub use network::{Rcnn, RcnnLosses, StageLosses};
pub use variants::{CascadeMaskRcnnConfig, FasterRcnnConfig, MaskRcnnConfig, RcnnFields};
