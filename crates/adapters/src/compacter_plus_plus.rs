//! Compacter++: [`compacter`](crate::compacter) without the adapters after attention (Mahabadi et al.
//! 2021, arXiv 2106.04647). In a convolutional block, which has one branch, the two are the same.

use gradway_backbone::{Description, Tunable};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::compacter::{Compacter, CompacterConfig};
use crate::count::Group;
use crate::inserted::InsertionPoints;
use crate::method::{About, Settings, unmergeable};

pub(crate) const ABOUT: About = About {
    name: "compacter_plus_plus",
    summary: "as compacter, but only after the MLP",
    source: "Compacter++, arXiv 2106.04647",
    starts_frozen: true,
    merges: Err(unmergeable::ACTIVATION),
};

/// Configuration of Compacter++: the fields of [`CompacterConfig`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CompacterPlusPlusConfig(pub CompacterConfig);

/// The module of Compacter++.
pub type CompacterPlusPlus<B, N> = Compacter<B, N>;

impl CompacterPlusPlusConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> CompacterPlusPlus<B, N> {
        self.0
            .init_at(InsertionPoints::LastBranch, backbone, device)
    }
}

impl Settings for CompacterPlusPlusConfig {
    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }

    fn published_groups(&self) -> &'static [Group] {
        self.0.published_groups()
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        self.0.misfit(backbone)
    }
}
