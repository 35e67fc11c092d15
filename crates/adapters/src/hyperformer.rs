//! HyperFormer: bottlenecks in the branches whose weights hypernetworks make of a task's embedding,
//! `W_D = reshape(e_t H_D)`, `W_U = reshape(e_t H_U)`, one pair of hypernetworks for each place (Mahabadi et
//! al. 2021, arXiv 2106.04489).
//!
//! On Swin-T with four tasks, embeddings of 64 and a bottleneck of an eighth 69.65 M, with SegFormer's
//! decoders 72.18 M; the literature's row prints 72.77 M. The publication also makes layer norms behind the
//! up projections, which are left out here.
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

pub(crate) const ABOUT: About = About {
    name: "hyperformer",
    summary: "bottlenecks in every branch, generated from a task's embedding by hypernetworks, and the output norms",
    source: "HyperFormer, arXiv 2106.04489",
    starts_frozen: true,
    merges: Err(unmergeable::ACTIVATION),
};

/// Configuration of [`Hyperformer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HyperformerConfig {
    /// Number of tasks; a run sets it to what it trains.
    pub tasks: usize,
    /// Width of a task's embedding.
    pub embedding: usize,
    /// The bottleneck is the channels divided by this.
    pub reduction: usize,
}

impl Default for HyperformerConfig {
    fn default() -> Self {
        Self {
            tasks: 1,
            embedding: 64,
            reduction: 8,
        }
    }
}

/// The hypernetworks of a place.
#[derive(Module, Debug)]
pub struct HyperBottleneck<B: Backend> {
    /// `[embedding, channels * narrow]`
    pub down: Param<Tensor<B, 2>>,
    /// `[embedding, narrow]`, zero at first.
    pub down_bias: Param<Tensor<B, 2>>,
    /// `[embedding, narrow * channels]`, zero at first.
    pub up: Param<Tensor<B, 2>>,
    /// `[embedding, channels]`, zero at first.
    pub up_bias: Param<Tensor<B, 2>>,
}

/// The module of HyperFormer: hypernetworks by section, block and branch.
pub type Hyperformer<B> = Conditioned<B, Vec<Vec<Vec<HyperBottleneck<B>>>>>;

impl HyperformerConfig {
    /// The module around a backbone.
    pub fn init<B: KernelBackend>(
        &self,
        backbone: AnyBackbone<B>,
        device: &B::Device,
    ) -> Hyperformer<B> {
        let description = backbone.description();
        let embedding = self.embedding;
        let zeros = |width| Initializer::Zeros.init([embedding, width], device);
        let sections = sections(&description, Places::Branches, |section| {
            let channels = section.channels;
            let narrow = (channels / self.reduction).max(1);
            // What a standard normal embedding makes has the deviation of a Kaiming uniform projection.
            let std = (1.0 / (3 * channels * embedding) as f64).sqrt();
            let normal = Initializer::Normal { mean: 0.0, std };
            HyperBottleneck {
                down: normal.init([embedding, channels * narrow], device),
                down_bias: zeros(narrow),
                up: zeros(narrow * channels),
                up_bias: zeros(channels),
            }
        });
        Hyperformer::new(backbone, [self.tasks, embedding], sections, device)
    }
}

impl Settings for HyperformerConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("tasks", self.tasks)?;
        in_range("embedding", self.embedding)?;
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

impl<B: KernelBackend> HyperBottleneck<B> {
    /// The projections of a task with this embedding, `[1, embedding]`.
    fn projections(&self, embedding: &Tensor<B, 2>) -> [Projection<B>; 2] {
        let made = |network: &Param<Tensor<B, 2>>| embedding.clone().matmul(network.val());
        let [_, channels] = self.up_bias.dims();
        let [_, narrow] = self.down_bias.dims();
        let bias = |network| Some(made(network).squeeze_dim(0));
        [
            (
                made(&self.down).reshape([channels, narrow]),
                bias(&self.down_bias),
            ),
            (
                made(&self.up).reshape([narrow, channels]),
                bias(&self.up_bias),
            ),
        ]
    }
}

impl<B: KernelBackend> Hypernetworks<B> for Vec<Vec<Vec<HyperBottleneck<B>>>> {
    fn projections(&self, embedding: Tensor<B, 2>) -> impl Fn([usize; 3]) -> [Projection<B>; 2] {
        move |[section, block, branch]| self[section][block][branch].projections(&embedding)
    }
}
