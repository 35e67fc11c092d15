//! What of E3VA can be chosen.

use gradway_backbone::Description;
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::dual_low_rank::UpInit;
use crate::highway::Readout;
use crate::method::{Settings, in_range};

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

/// Configuration of [`E3va`](super::E3va). The defaults are the plain form as the paper counts it.
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
    /// What class and register tokens do in a stage's output, on a plain vision transformer.
    pub readout: Readout,
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
            readout: Readout::default(),
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
        if self.form == Factorization::Kernel && !self.rank.is_multiple_of(self.terms) {
            return Err(format!(
                "method.rank = {} is no multiple of method.terms = {}",
                self.rank, self.terms
            ));
        }
        Ok(())
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        self.readout.misfit(backbone)
    }

    /// The paper's counts match the plain form with output norms and the kernel form without them.
    fn published_groups(&self) -> &'static [Group] {
        match self.form {
            Factorization::Plain => &[Group::Adapter, Group::Norm],
            Factorization::Kernel => &[Group::Adapter],
        }
    }
}
