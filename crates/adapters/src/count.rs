//! Trainable parameters by group.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Serialize};

/// What a trainable parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Added by the method.
    Adapter,
    /// An output norm.
    Norm,
    /// A bias or the shift of a norm of the backbone's own.
    Bias,
    /// Anything else of the backbone's own.
    Other,
}

impl Group {
    /// As listings name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::Norm => "norm",
            Self::Bias => "bias",
            Self::Other => "other",
        }
    }
}

/// Trainable parameters by [`Group`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCount {
    /// Added by the method.
    pub adapter: usize,
    /// Output norms.
    pub norm: usize,
    /// Biases and shifts of norms of the backbone's own.
    #[serde(default)]
    pub bias: usize,
    /// The rest of the backbone's own.
    pub other: usize,
    /// All of them.
    pub total: usize,
}

impl GroupCount {
    /// The sum of some groups.
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

/// Counts what a method's module trains; frozen parameters are left out.
pub fn count<B: AutodiffBackend, M: Module<B>>(module: &M) -> GroupCount {
    let mut counter = Counter::default();
    module.visit(&mut counter);
    counter.count
}

#[derive(Default)]
struct Counter {
    path: Vec<String>,
    count: GroupCount,
}

impl Counter {
    fn group(&self) -> Group {
        let inside = |name: &str| self.path.iter().any(|part| part == name);
        if inside("backbone") {
            match self.path.last().map(String::as_str) {
                Some("bias" | "beta") => Group::Bias,
                _ => Group::Other,
            }
        } else if inside("norms") {
            Group::Norm
        } else {
            Group::Adapter
        }
    }
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Counter {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if !param.is_require_grad() {
            return;
        }
        let parameters = param.shape().num_elements();
        self.count.total += parameters;
        match self.group() {
            Group::Adapter => self.count.adapter += parameters,
            Group::Norm => self.count.norm += parameters,
            Group::Bias => self.count.bias += parameters,
            Group::Other => self.count.other += parameters,
        }
    }
}
