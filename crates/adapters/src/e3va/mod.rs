//! E3VA: adapters on a gradient highway beside a frozen backbone (arXiv 2306.09729).
//!
//! ```text
//! frozen, untracked:  a_l = (S)W-MSA(LN1(x_l));  x'_l = x_l + a_l;  m_l = MLP(LN2(x'_l));  x_{l+1} = x'_l + m_l
//! adapter:            E(z) = W_U gelu(W_D z + b_D) + b_U,  W_D = P_D Q_D,  W_U = P_U Q_U
//! highway:            h_{l+1} = h_l + E_msa(a_l) + E_mlp(m_l)
//! stage boundary:     h <- PatchMerging_frozen(h)
//! output of stage s:  norm_s(x_s + h_s), norm_s trainable
//! ```
//!
//! Memory: the backbone keeps nothing. Each adapter keeps its input, which the backbone computes anyway, and
//! recomputes its bottleneck in the backward pass; each stage boundary and output norm keeps one map. No
//! gradient passes through the backbone.
//!
//! On a convolutional backbone there is one tap per block, the block's branch, and the highway crosses section
//! boundaries through the backbone's parameter-free [transition](gradway_backbone::Backbone::transition): an
//! extension of this library, since the paper defines E3VA on a Swin.

mod config;
mod module;
mod taps;

use burn::tensor::Tensor;
use gradway_backbone::{AnyBackbone, Backbone, Phase};
use gradway_kernels::{KernelBackend, Lift};

use crate::method::{About, unmergeable};
use crate::placement::Beside;
use taps::Taps;

pub use crate::dual_low_rank::{DualLowRankAdapter, UpInit};
pub use config::{E3vaConfig, Factorization, Fusion, OutputNorm, Skip, Start, Tap};
pub use module::E3va;

pub(crate) const ABOUT: About = About {
    name: "e3va",
    summary: "dual low-rank adapters on a highway beside the backbone, and the output norms",
    source: "E3VA, arXiv 2306.09729",
    starts_frozen: false,
    merges: Err(unmergeable::HIGHWAY),
};

/// How a projection is factorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factorization {
    /// `W = P Q`.
    #[default]
    Plain,
    /// `W = sum_i P_i K_i Q_i`, with the `K_i` shared by the two projections of an adapter.
    Kernel,
}

/// What an adapter reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tap {
    /// The output of a branch: `a_l`, `m_l`.
    #[default]
    ResidualBranch,
    /// The residual stream after the branch is added: `x'_l`, `x_{l+1}`.
    PostResidual,
}

/// The skip inside an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// `E(z)`.
    #[default]
    None,
    /// `z + E(z)`.
    Identity,
}

/// What the highway starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Zero.
    #[default]
    Zero,
    /// The patch embedding, or the stem of a convolutional backbone.
    PatchEmbed,
}

/// Fusion of backbone and highway into a stage's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fusion {
    /// `x_s + h_s`.
    #[default]
    Add,
    /// `h_s`.
    HighwayOnly,
}

/// Whether the output norms are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputNorm {
    /// Trained.
    #[default]
    Trainable,
    /// Kept at scale 1 and shift 0.
    Frozen,
}

/// Configuration of [`E3va`]. The defaults are the plain form as the paper counts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct E3vaConfig {
    /// How a projection is factorised.
    pub form: Factorization,
    /// Total rank of a projection: number of columns of `P`, over all terms in the kernel form.
    pub rank: usize,
    /// Number of terms of the kernel form (alpha); `rank / terms` is the side of a kernel (beta).
    pub terms: usize,
    /// Width of the bottleneck: the channels divided by this.
    pub reduction: usize,
    /// What an adapter reads.
    pub tap: Tap,
    /// The skip inside an adapter.
    pub skip: Skip,
    /// What the highway starts from.
    pub start: Start,
    /// How a stage's output is made.
    pub fusion: Fusion,
    /// Initialisation of the last factor of the up projection. With zero, the first stage's output is that of
    /// the frozen model. In later stages it is not, since the norm of a Swin's patch merging turns a highway of
    /// zeros into its shift.
    pub up_init: UpInit,
    /// Whether the output norms are trained.
    pub output_norm: OutputNorm,
}

impl Default for E3vaConfig {
    fn default() -> Self {
        Self {
            form: Factorization::default(),
            rank: 16,
            terms: 2,
            reduction: 2,
            tap: Tap::default(),
            skip: Skip::default(),
            start: Start::default(),
            fusion: Fusion::default(),
            up_init: UpInit::default(),
            output_norm: OutputNorm::default(),
        }
    }
}

/// The module of E3VA: everything on the highway, without the backbone.
#[derive(Module, Debug)]
pub struct E3va<B: Backend> {
    /// Adapters by section, block and branch.
    pub sections: Vec<Vec<Vec<DualLowRankAdapter<B>>>>,
    /// Norms between the stages and the neck.
    pub norms: OutputNorms<B>,
    #[module(skip)]
    config: E3vaConfig,
}

impl E3vaConfig {
    /// Initialises the module for a backbone with this description.
    pub fn init<B: Backend>(&self, description: &Description, device: &B::Device) -> E3va<B> {
        let shape = DualLowRank {
            rank: self.rank,
            terms: (self.form == Factorization::Kernel).then_some(self.terms),
            reduction: self.reduction,
            up_init: self.up_init,
        };
        let sections = sections(description, InsertionPoints::Branches, |section| {
            DualLowRankAdapter::new(shape, section.channels, device)
        });
        let norms = OutputNorms::new(description, device);
        E3va {
            sections,
            norms: match self.output_norm {
                OutputNorm::Trainable => norms,
                OutputNorm::Frozen => norms.no_grad(),
            },
            config: self.clone(),
        }
    }
}

impl Settings for E3vaConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("rank", self.rank)?;
        in_range("terms", self.terms)?;
        in_range("reduction", self.reduction)?;
        if self.form == Factorization::Kernel && !self.rank.is_multiple_of(self.terms) {
            return Err(format!(
                "method.rank = {} is not a multiple of method.terms = {}",
                self.rank, self.terms
            ));
        }
        Ok(())
    }

    /// The paper's counts match the plain form with output norms and the kernel form without them.
    fn published_groups(&self) -> &'static [Group] {
        match self.form {
            Factorization::Plain => &[Group::Adapter, Group::Norm],
            Factorization::Kernel => &[Group::Adapter],
        }
    }
}

impl<B: KernelBackend> Method<B> for E3va<B> {
    type Shared = Vec<Tensor<B, 4>>;

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}

impl<B: KernelBackend> Beside<B> for E3va<B> {
    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        frozen: &AnyBackbone<F>,
        images: Tensor<F, 4>,
        _phase: Phase,
    ) -> Vec<Tensor<B, 4>> {
        let mut taps = Taps::<B, F, L>::new(self, frozen);
        // The stage outputs are read at their access points; what the backbone returns is dropped.
        frozen.forward(images, Phase::Inference, &mut taps);
        taps.into_features()
    }
}
