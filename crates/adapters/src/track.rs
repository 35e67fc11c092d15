//! Choosing which of a backbone's parameters are trained.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Owner, ParameterMapper, ParameterPath, map_parameters};

/// Marks the parameters that are chosen as trained and all others as frozen.
///
/// A backbone arrives from the inner backend, where no parameter is tracked, so that a method which
/// holds it says itself what it trains.
pub(crate) fn track<B: Backend, M: Module<B>>(
    module: M,
    chosen: impl Fn(&ParameterPath) -> bool,
) -> M {
    mark(module, |path| Some(chosen(path)))
}

/// Freezes the parameters whose path is chosen; the others stay what they are.
pub fn freeze<B: Backend, M: Module<B>>(module: M, chosen: impl Fn(&str) -> bool) -> M {
    mark(module, |path| chosen(&path.to_string()).then_some(false))
}

/// Freezes the output norms of stages that a head does not read: no gradient would ever reach them.
pub(crate) fn freeze_output_norms<B: Backend, M: Module<B>>(
    module: M,
    is_read: impl Fn(usize) -> bool,
) -> M {
    mark(module, |path| match path.role().owner {
        Owner::OutputNorm { stage } if !is_read(stage) => Some(false),
        _ => None,
    })
}

/// Marks parameters as trained or frozen; with none they stay what they are.
fn mark<B: Backend, M: Module<B>>(
    module: M,
    is_trained: impl Fn(&ParameterPath) -> Option<bool>,
) -> M {
    map_parameters(module, &mut Marker { is_trained })
}

struct Marker<F> {
    is_trained: F,
}

impl<B: Backend, F: Fn(&ParameterPath) -> Option<bool>> ParameterMapper<B> for Marker<F> {
    fn map<const D: usize>(
        &mut self,
        path: &ParameterPath,
        parameter: Param<Tensor<B, D>>,
    ) -> Param<Tensor<B, D>> {
        match (self.is_trained)(path) {
            Some(is_trained) => parameter.set_require_grad(is_trained),
            None => parameter,
        }
    }
}
