//! Norm tuning: every norm is trained, scale and shift, and nothing else (Giannou et al. 2023,
//! arXiv 2302.07937).
//!
//! The convolutional backbones have folded their batch norms into their convolutions; there the output
//! norms are all that is left to train.
//!
//! Memory: as BitFit, a gradient passes through the whole backbone.

use gradway_backbone::{AnyBackbone, ParameterPath};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Settings};
use crate::selected::Selected;

pub(crate) const ABOUT: About = About {
    name: "norm_tuning",
    summary: "scale and shift of every norm",
    source: "NormTuning, arXiv 2302.07937",
    starts_frozen: true,
    merges: Ok(()),
};

/// Configuration of norm tuning; it has no choices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormTuningConfig {}

/// The module of the method.
pub type NormTuning<B> = Selected<B>;

impl NormTuningConfig {
    /// The module around a backbone.
    pub fn init<B: KernelBackend>(
        &self,
        backbone: AnyBackbone<B>,
        device: &B::Device,
    ) -> NormTuning<B> {
        Selected::new(backbone, device, is_norm, |_| true)
    }
}

impl Settings for NormTuningConfig {
    fn published_groups(&self) -> &'static [Group] {
        &[Group::Other, Group::Bias, Group::Norm]
    }
}

fn is_norm(path: &ParameterPath) -> bool {
    path.role().kind.is_norm()
}
