//! Trainable parameters by group.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use gradway_backbone::{Kind, Owner, ParameterPath, ParameterVisitor, Role, visit_parameters};
use serde::{Deserialize, Serialize};

/// The group of a trainable parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Added by the method.
    Adapter,
    /// An output norm.
    Norm,
    /// A bias or a norm's shift of the backbone.
    Bias,
    /// Any other parameter of the backbone.
    Other,
}

impl Group {
    /// Returns the name in listings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::Norm => "norm",
            Self::Bias => "bias",
            Self::Other => "other",
        }
    }
}

/// Number of trainable parameters by [`Group`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCount {
    /// Added by the method.
    pub adapter: usize,
    /// Output norms.
    pub norm: usize,
    /// Biases and norm shifts of the backbone.
    #[serde(default)]
    pub bias: usize,
    /// Other parameters of the backbone.
    pub other: usize,
    /// The total.
    pub total: usize,
}

impl GroupCount {
    /// Returns the sum of some groups.
    pub fn of(&self, groups: &[Group]) -> usize {
        let parameters = |group: &Group| match group {
            Group::Adapter => self.adapter,
            Group::Norm => self.norm,
            Group::Bias => self.bias,
            Group::Other => self.other,
        };
        groups.iter().map(parameters).sum()
    }
}

/// Counts the trainable parameters of a method's module.
pub fn count<B: AutodiffBackend, M: Module<B>>(module: &M) -> GroupCount {
    let mut counter = Counter::default();
    visit_parameters(module, &mut counter);
    counter.count
}

#[derive(Default)]
struct Counter {
    count: GroupCount,
}

/// Returns the group of a parameter with this role.
fn group(role: Role) -> Group {
    match role.owner {
        Owner::OutputNorm { .. } => Group::Norm,
        Owner::Added => Group::Adapter,
        Owner::Backbone | Owner::Transition | Owner::AfterStages => match role.kind {
            Kind::Bias | Kind::NormShift => Group::Bias,
            _ => Group::Other,
        },
    }
}

impl<B: AutodiffBackend> ParameterVisitor<B> for Counter {
    fn visit<const D: usize>(&mut self, path: &ParameterPath, parameter: &Param<Tensor<B, D>>) {
        if !parameter.is_require_grad() {
            return;
        }
        let parameters = parameter.shape().num_elements();
        self.count.total += parameters;
        match group(path.role()) {
            Group::Adapter => self.count.adapter += parameters,
            Group::Norm => self.count.norm += parameters,
            Group::Bias => self.count.bias += parameters,
            Group::Other => self.count.other += parameters,
        }
    }
}
