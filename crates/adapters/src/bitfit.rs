//! BitFit: every bias is trained (Ben Zaken et al. 2022, arXiv 2106.10199).
//!
//! These are the biases of linear layers, the shifts of norms (including the batch norms of a convolutional
//! backbone), the relative position bias tables of a Swin, and the shifts of the output norms. This reading
//! matches E3VA's published counts, 0.20 M on Swin-B and 0.30 M on Swin-L.
//!
//! Memory: gradients pass through the whole backbone, so the tensors that non-linear operators need are kept.
//! The inputs of linear layers are not, since no weight is trained.

use gradway_backbone::{BatchStatistics, Description, Kind, ParameterPath, Tunable};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Settings, statistics_misfit};
use crate::selected::Selected;

pub(crate) const ABOUT: About = About {
    name: "bitfit",
    summary: "every bias, including norm shifts and position biases",
    source: "BitFit, arXiv 2106.10199",
    starts_frozen: true,
    merges: Ok(()),
};

/// Configuration of BitFit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BitfitConfig {
    /// The statistics of trained batch norms.
    pub batch_statistics: BatchStatistics,
}

/// The module of the method.
pub type Bitfit<B, N> = Selected<B, N>;

impl BitfitConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> Bitfit<B, N> {
        Selected::new(backbone, device, self.batch_statistics, is_bias, is_bias)
    }
}

impl Settings for BitfitConfig {
    fn published_groups(&self) -> &'static [Group] {
        &[Group::Other, Group::Bias, Group::Norm]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        statistics_misfit(self.batch_statistics, backbone)
    }
}

fn is_bias(path: &ParameterPath) -> bool {
    matches!(
        path.role().kind,
        Kind::Bias | Kind::NormShift | Kind::PositionBias
    )
}
