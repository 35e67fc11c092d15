//! Choosing which of a backbone's parameters are trained.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Marks the parameters whose path is chosen as trained and all others as frozen.
///
/// A backbone arrives from the inner backend, where no parameter is tracked, so that a method which
/// holds it says itself what it trains.
pub(crate) fn track<B: Backend, M: Module<B>>(module: M, chosen: impl Fn(&str) -> bool) -> M {
    mark(module, |path| Some(chosen(path)))
}

/// Freezes the parameters whose path is chosen; the others stay what they are.
pub fn freeze<B: Backend, M: Module<B>>(module: M, chosen: impl Fn(&str) -> bool) -> M {
    mark(module, |path| chosen(path).then_some(false))
}

/// Freezes the output norms of stages that a head does not read: no gradient would ever reach them.
pub(crate) fn freeze_output_norms<B: Backend, M: Module<B>>(
    module: M,
    is_read: impl Fn(usize) -> bool,
) -> M {
    mark(module, |path| {
        // `norms.norms.STAGE.gamma`, see `OutputNorms`.
        let (_, after_norms) = path.rsplit_once("norms.")?;
        let stage = after_norms.split('.').next()?.parse().ok()?;
        (!is_read(stage)).then_some(false)
    })
}

/// Marks parameters by their path as trained or frozen; with none they stay what they are.
fn mark<B: Backend, M: Module<B>>(module: M, is_trained: impl Fn(&str) -> Option<bool>) -> M {
    module.map(&mut Marker {
        path: Vec::new(),
        is_trained,
    })
}

struct Marker<F> {
    path: Vec<String>,
    is_trained: F,
}

impl<B: Backend, F: Fn(&str) -> Option<bool>> ModuleMapper<B> for Marker<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        match (self.is_trained)(&self.path.join(".")) {
            Some(is_trained) => param.set_require_grad(is_trained),
            None => param,
        }
    }
}
