//! Full fine-tuning: the backbone and its output norms are trained.
//!
//! Memory: every activation of the backbone is kept for the backward pass, and weights, gradients
//! and both moments of the optimiser have the backbone's size. This is the row that the others are
//! measured against.

use gradway_backbone::AnyBackbone;
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Settings};
use crate::selected::Selected;

pub(crate) const ABOUT: About = About {
    name: "full",
    summary: "every parameter of the backbone and its output norms",
    source: "the usual baseline",
    starts_frozen: true,
    merges: Ok(()),
};

/// Configuration of full fine-tuning; it has no choices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullConfig {}

/// The module of the method.
pub type Full<B> = Selected<B>;

impl FullConfig {
    /// The module around a backbone.
    pub fn init<B: KernelBackend>(&self, backbone: AnyBackbone<B>, device: &B::Device) -> Full<B> {
        Selected::new(backbone, device, |_| true, |_| true)
    }
}

impl Settings for FullConfig {
    fn published_groups(&self) -> &'static [Group] {
        &[Group::Other, Group::Bias, Group::Norm]
    }
}
