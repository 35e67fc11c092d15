//! What of E3VA can be chosen.

use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::dual_low_rank::UpInit;
use crate::method::{Settings, in_range};

/// How a projection is factorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
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
    /// The stream after the branch was added: `x'_l`, `x_{l+1}`.
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

/// How a stage's output is made of backbone and highway.
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

/// Configuration of [`E3va`](super::E3va). The defaults are the plain form as the paper counts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct E3vaConfig {
    /// How a projection is factorised.
    pub form: Form,
    /// Total rank of a projection: columns of `P`, over all terms in the kernel form.
    pub rank: usize,
    /// Terms of the kernel form (alpha); `rank / terms` is the side of a kernel (beta).
    pub terms: usize,
    /// The bottleneck is the channels divided by this.
    pub reduction: usize,
    /// What an adapter reads.
    pub tap: Tap,
    /// The skip inside an adapter.
    pub skip: Skip,
    /// What the highway starts from.
    pub start: Start,
    /// How a stage's output is made.
    pub fusion: Fusion,
    /// How the last factor of the up projection starts. From zero, the first stage's output is that of
    /// the frozen model; past it, a Swin's merging makes the shift of its norm of a highway that is zero.
    pub up_init: UpInit,
    /// Whether the output norms are trained.
    pub output_norm: OutputNorm,
}

impl Default for E3vaConfig {
    fn default() -> Self {
        Self {
            form: Form::default(),
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

impl Settings for E3vaConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("rank", self.rank)?;
        in_range("terms", self.terms)?;
        in_range("reduction", self.reduction)?;
        if self.form == Form::Kernel && !self.rank.is_multiple_of(self.terms) {
            return Err(format!(
                "method.rank = {} is no multiple of method.terms = {}",
                self.rank, self.terms
            ));
        }
        Ok(())
    }

    /// The paper's counts fit the plain form with its norms and the kernel form without them.
    fn published_groups(&self) -> &'static [Group] {
        match self.form {
            Form::Plain => &[Group::Adapter, Group::Norm],
            Form::Kernel => &[Group::Adapter],
        }
    }
}
