//! Selecting the trained parameters of a module.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{
    BatchStatistics, Kind, Owner, ParameterMapper, ParameterPath, Tunable, map_parameters,
};
use gradway_kernels::KernelBackend;

/// Marks the selected parameters as trained and all others as frozen.
///
/// A backbone comes from the inner backend, where no parameter is tracked, so a method that holds it selects
/// what it trains. Batch norms stay folded into convolutions without a selected parameter, and are separated
/// from the others.
pub(crate) fn track_backbone<B: KernelBackend, N: Tunable<B>>(
    mut backbone: N,
    chosen: impl Fn(&ParameterPath) -> bool,
    statistics: BatchStatistics,
) -> N {
    backbone.keep_norms(&chosen, statistics);
    track(backbone, chosen)
}

/// Freezes all parameters of a backbone.
pub(crate) fn frozen_backbone<B: KernelBackend, N: Tunable<B>>(backbone: N) -> N {
    track_backbone(backbone, |_| false, BatchStatistics::Frozen)
}

/// Marks the selected parameters as trained and all others as frozen.
pub(crate) fn track<B: Backend, M: Module<B>>(
    module: M,
    chosen: impl Fn(&ParameterPath) -> bool,
) -> M {
    mark(module, |path| Some(chosen(path)))
}

/// Freezes the parameters whose path is selected; the others are not changed.
pub fn freeze<B: Backend, M: Module<B>>(module: M, chosen: impl Fn(&str) -> bool) -> M {
    mark(module, |path| chosen(&path.to_string()).then_some(false))
}

/// Freezes the output norms of stages that a head does not read, since no gradient reaches them.
pub(crate) fn freeze_output_norms<B: Backend, M: Module<B>>(
    module: M,
    is_read: impl Fn(usize) -> bool,
) -> M {
    mark(module, |path| match path.role().owner {
        Owner::OutputNorm { stage } if !is_read(stage) => Some(false),
        _ => None,
    })
}

/// Marks parameters as trained or frozen; with `None` a parameter is not changed.
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
        let role = path.role();
        match (self.is_trained)(path) {
            // A batch norm's statistics have no gradient, and training changes them all the same.
            Some(is_trained) if role.kind != Kind::Statistic => {
                parameter.set_require_grad(is_trained && role.owner != Owner::AfterStages)
            }
            _ => parameter,
        }
    }
}
