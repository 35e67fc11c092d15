//! Norm tuning: every norm is trained, scale and shift, and nothing else (Giannou et al. 2023,
//! arXiv 2302.07937).
//!
//! In a convolutional backbone these are its batch norms, whose statistics stay the pre-trained ones or are
//! updated by the batches (`batch_statistics`), and the output norms.
//!
//! Memory: as BitFit, gradients pass through the whole backbone.

use gradway_backbone::{BatchStatistics, Description, ParameterPath, Tunable};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Settings, statistics_misfit};
use crate::selected::Selected;

pub(crate) const ABOUT: About = About {
    name: "norm_tuning",
    summary: "scale and shift of every norm",
    source: "NormTuning, arXiv 2302.07937",
    starts_frozen: true,
    merges: Ok(()),
};

/// Configuration of norm tuning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NormTuningConfig {
    /// The statistics of trained batch norms.
    pub batch_statistics: BatchStatistics,
}

/// The module of the method.
pub type NormTuning<B, N> = Selected<B, N>;

impl NormTuningConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> NormTuning<B, N> {
        Selected::new(backbone, device, self.batch_statistics, is_norm, |_| true)
    }
}

impl Settings for NormTuningConfig {
    fn published_groups(&self) -> &'static [Group] {
        &[Group::Other, Group::Bias, Group::Norm]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        statistics_misfit(self.batch_statistics, backbone)
    }
}

fn is_norm(path: &ParameterPath) -> bool {
    path.role().kind.is_norm()
}
