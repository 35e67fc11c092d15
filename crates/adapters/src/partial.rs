//! Partial fine-tuning: the last blocks are trained (Yosinski et al. 2014, arXiv 1411.1792).
//!
//! One block is the Partial-1 of the published tables, whose counts, 12.60 M on Swin-B and 28.34 M on Swin-L,
//! exclude the output norms. They are trained here, since every decoder reads features through them.
//!
//! Memory: nothing before the first trained block is kept.

use gradway_backbone::{BatchStatistics, Description, ParameterPath, Tunable};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Settings, in_range, statistics_misfit};
use crate::selected::Selected;

pub(crate) const ABOUT: About = About {
    name: "partial",
    summary: "the last blocks and the output norms",
    source: "Partial-k, arXiv 1411.1792",
    starts_frozen: true,
    merges: Ok(()),
};

/// Configuration of partial fine-tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartialConfig {
    /// Number of trained blocks, counted from the last one.
    pub blocks: usize,
    /// The statistics of trained batch norms.
    pub batch_statistics: BatchStatistics,
}

impl Default for PartialConfig {
    fn default() -> Self {
        Self {
            blocks: 1,
            batch_statistics: BatchStatistics::default(),
        }
    }
}

/// The module of the method.
pub type Partial<B, N> = Selected<B, N>;

impl PartialConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> Partial<B, N> {
        let sections = backbone.description().sections;
        let blocks = sections
            .iter()
            .enumerate()
            .rev()
            .flat_map(|(section, shape)| {
                let blocks = (0..shape.blocks).rev();
                blocks.map(move |block| (section, block))
            });
        let trained: Vec<String> = blocks
            .take(self.blocks)
            .map(|(section, block)| backbone.block_path(section, block) + ".")
            .collect();
        let is_trained = |path: &ParameterPath| {
            let path = path.to_string();
            trained.iter().any(|block| path.starts_with(block))
        };
        Selected::new(backbone, device, self.batch_statistics, is_trained, |_| {
            true
        })
    }
}

impl Settings for PartialConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("blocks", self.blocks)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Other, Group::Bias]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        statistics_misfit(self.batch_statistics, backbone)
    }
}
