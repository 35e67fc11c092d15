//! Polyhistor: bottlenecks in the branches whose weights hypernetworks of two factors make of a task's
//! embedding, `W = reshape(e_t F S)`, a pair for each place (Liu et al. 2022, arXiv 2210.03265).
//!
//! The publication has no code and prints no rank. On Swin-T with four tasks, embeddings of 64, a rank of 6
//! and a bottleneck of an eighth this trains 6.50 M; the published row, without the decoders, 6.42 M. The
//! biases are shared by the tasks.
//!
//! Memory: a pass through the backbone for each task, and the gradient of each through the whole backbone.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{AnyBackbone, Backbone};
use gradway_kernels::KernelBackend;
use serde::{Deserialize, Serialize};

use crate::bottleneck::Projection;
use crate::conditioned::{Conditioned, Hypernetworks, SHARED_HYPERNETWORKS};
use crate::count::Group;
use crate::inserted::{Places, sections};
use crate::method::{About, Settings, in_range, unmergeable};
use crate::polyhistor_lite::ThinHypernetwork;

pub(crate) const ABOUT: About = About {
    name: "polyhistor",
    summary: "bottlenecks in every branch, generated from a task's embedding by low-rank hypernetworks, and the output norms",
    source: "Polyhistor, arXiv 2210.03265",
    starts_frozen: true,
    merges: Err(unmergeable::ACTIVATION),
};

/// Configuration of [`Polyhistor`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolyhistorConfig {
    /// Number of tasks; a run sets it to what it trains.
    pub tasks: usize,
    /// Width of a task's embedding.
    pub embedding: usize,
    /// Rank of a hypernetwork.
    pub rank: usize,
    /// The bottleneck is the channels divided by this.
    pub reduction: usize,
}

impl Default for PolyhistorConfig {
    fn default() -> Self {
        Self {
            tasks: 1,
            embedding: 64,
            rank: 6,
            reduction: 8,
        }
    }
}

/// The hypernetworks of a place, and its biases.
#[derive(Module, Debug)]
pub struct ThinBottleneck<B: Backend> {
    /// Makes the down projection, `[channels, narrow]`.
    pub down: ThinHypernetwork<B>,
    /// `[narrow]`
    pub down_bias: Param<Tensor<B, 1>>,
    /// Makes the up projection, `[narrow, channels]`; zero at first.
    pub up: ThinHypernetwork<B>,
    /// `[channels]`
    pub up_bias: Param<Tensor<B, 1>>,
}

/// The module of Polyhistor: hypernetworks by section, block and branch.
pub type Polyhistor<B> = Conditioned<B, Vec<Vec<Vec<ThinBottleneck<B>>>>>;

impl PolyhistorConfig {
    /// The module around a backbone.
    pub fn init<B: KernelBackend>(
        &self,
        backbone: AnyBackbone<B>,
        device: &B::Device,
    ) -> Polyhistor<B> {
        let description = backbone.description();
        let sections = sections(&description, Places::Branches, |section| {
            let channels = section.channels;
            let narrow = (channels / self.reduction).max(1);
            let sizes = [self.embedding, self.rank, channels * narrow];
            let zeros = |width| Initializer::Zeros.init([width], device);
            // The deviation of a Kaiming uniform projection.
            let deviation = (1.0 / (3 * channels) as f64).sqrt();
            ThinBottleneck {
                down: ThinHypernetwork::new(sizes, deviation, device),
                down_bias: zeros(narrow),
                up: ThinHypernetwork::new(sizes, 0.0, device),
                up_bias: zeros(channels),
            }
        });
        Polyhistor::new(backbone, [self.tasks, self.embedding], sections, device)
    }
}

impl Settings for PolyhistorConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("tasks", self.tasks)?;
        in_range("embedding", self.embedding)?;
        in_range("rank", self.rank)?;
        in_range("reduction", self.reduction)
    }

    fn adds_tasks(&self) -> Result<(), &'static str> {
        Err(SHARED_HYPERNETWORKS)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }

    fn tasks(&mut self) -> Option<&mut usize> {
        Some(&mut self.tasks)
    }
}

impl<B: KernelBackend> ThinBottleneck<B> {
    /// The projections of a task with this embedding, `[1, embedding]`.
    fn projections(&self, embedding: &Tensor<B, 2>) -> [Projection<B>; 2] {
        let [channels] = self.up_bias.dims();
        let [narrow] = self.down_bias.dims();
        let down = self.down.of(embedding).reshape([channels, narrow]);
        let up = self.up.of(embedding).reshape([narrow, channels]);
        [
            (down, Some(self.down_bias.val())),
            (up, Some(self.up_bias.val())),
        ]
    }
}

impl<B: KernelBackend> Hypernetworks<B> for Vec<Vec<Vec<ThinBottleneck<B>>>> {
    fn projections(&self, embedding: Tensor<B, 2>) -> impl Fn([usize; 3]) -> [Projection<B>; 2] {
        move |[section, block, branch]| self[section][block][branch].projections(&embedding)
    }
}
