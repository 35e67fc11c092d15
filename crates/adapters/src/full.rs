//! Full fine-tuning: the backbone and its output norms are trained.
//!
//! The batch norms of a convolutional backbone are trained as in the published network, with a scale and a
//! shift after every convolution. Their statistics are the pre-trained ones, as is common for detectors, or are
//! updated by the batches (`batch_statistics`).
//!
//! Memory: every activation of the backbone is kept for the backward pass, and weights, gradients and both
//! moments of the optimiser have the size of the backbone. This is the baseline of the other methods.

use gradway_backbone::{BatchStatistics, Description, Tunable};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Settings, statistics_misfit};
use crate::selected::Selected;

pub(crate) const ABOUT: About = About {
    name: "full",
    summary: "every parameter of the backbone and its output norms",
    source: "the usual baseline",
    starts_frozen: true,
    merges: Ok(()),
};

/// Configuration of full fine-tuning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FullConfig {
    /// The statistics of trained batch norms.
    pub batch_statistics: BatchStatistics,
}

/// The module of the method.
pub type Full<B, N> = Selected<B, N>;

impl FullConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> Full<B, N> {
        Selected::new(backbone, device, self.batch_statistics, |_| true, |_| true)
    }
}

impl Settings for FullConfig {
    fn published_groups(&self) -> &'static [Group] {
        &[Group::Other, Group::Bias, Group::Norm]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        statistics_misfit(self.batch_statistics, backbone)
    }
}
