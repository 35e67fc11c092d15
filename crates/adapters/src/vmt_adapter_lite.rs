//! VMT-Adapter-Lite: as [`vmt_adapter`], with `W_U` the transpose of `W_D` (Xin et al.
//! 2024, arXiv 2312.08733).
//!
//! The publication shares parameters between the projections and reports 0.36 times the parameters of
//! VMT-Adapter. A transpose with the same width would have 0.50 times; with a sixth of the channels in place of
//! a fourth it has 0.370 M for four tasks on Swin-T, 0.34 times.
//!
//! Memory: as [`vmt_adapter`].

use gradway_backbone::{Description, Tunable};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Settings};
use crate::vmt_adapter::{self, VmtAdapter, VmtAdapterConfig};

pub(crate) const ABOUT: About = About {
    name: "vmt_adapter_lite",
    summary: "as vmt_adapter, with transposed down projections in place of up projections",
    // What it adds is not zero at first.
    starts_frozen: false,
    ..vmt_adapter::ABOUT
};

/// The default of `reduction`.
const REDUCTION: usize = 6;

/// Configuration of VMT-Adapter-Lite: the fields of [`VmtAdapterConfig`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VmtAdapterLiteConfig(pub VmtAdapterConfig);

/// The module of VMT-Adapter-Lite.
pub type VmtAdapterLite<B, N> = VmtAdapter<B, N>;

impl VmtAdapterLiteConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> VmtAdapterLite<B, N> {
        let reduction = self.0.reduction.unwrap_or(REDUCTION);
        self.0.init_with(reduction, true, backbone, device)
    }
}

impl Settings for VmtAdapterLiteConfig {
    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }

    fn published_groups(&self) -> &'static [Group] {
        self.0.published_groups()
    }

    fn tasks(&mut self) -> Option<&mut usize> {
        self.0.tasks()
    }

    fn feature_channels(&self, backbone: &Description) -> Vec<usize> {
        self.0.feature_channels(backbone)
    }
}
