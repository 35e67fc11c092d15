//! Choosing which of a backbone's parameters are trained.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Marks the parameters whose path is chosen as trained and all others as frozen.
///
/// A backbone arrives from the inner backend, where no parameter is tracked, so that a method which
/// holds it says itself what it trains.
pub(crate) fn track<B: Backend, M: Module<B>>(module: M, chosen: impl Fn(&str) -> bool) -> M {
    module.map(&mut Tracker {
        path: Vec::new(),
        chosen,
    })
}

/// Freezes the output norms of stages that a head does not read: no gradient would ever reach them.
pub fn freeze_output_norms<B: Backend, M: Module<B>>(
    module: M,
    is_read: impl Fn(usize) -> bool,
) -> M {
    module.map(&mut Unread {
        path: Vec::new(),
        is_read,
    })
}

struct Unread<F> {
    path: Vec<String>,
    is_read: F,
}

impl<B: Backend, F: Fn(usize) -> bool> ModuleMapper<B> for Unread<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        // `norms.norms.STAGE.gamma`, see `OutputNorms`.
        let mut after_norms = self.path.iter().zip(self.path.iter().skip(1));
        let stage = after_norms.find_map(|(name, stage)| {
            let stage = (name == "norms").then(|| stage.parse().ok());
            stage.flatten()
        });
        match stage {
            Some(stage) if !(self.is_read)(stage) => param.set_require_grad(false),
            _ => param,
        }
    }
}

struct Tracker<F> {
    path: Vec<String>,
    chosen: F,
}

impl<B: Backend, F: Fn(&str) -> bool> ModuleMapper<B> for Tracker<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        param.set_require_grad((self.chosen)(&self.path.join(".")))
    }
}
