//! Choosing which of a backbone's parameters are trained.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{AnyBackbone, BatchStatistics};

use crate::state_dict::is_statistic;

/// Marks the parameters whose path is chosen as trained and all others as frozen.
///
/// A backbone arrives from the inner backend, where no parameter is tracked, so that a method which
/// holds it says itself what it trains. Batch norms stay folded into the convolutions of which nothing is chosen, and
/// stand apart from the others.
pub(crate) fn track_backbone<B: Backend>(
    mut backbone: AnyBackbone<B>,
    chosen: impl Fn(&str) -> bool,
    statistics: BatchStatistics,
) -> AnyBackbone<B> {
    backbone.keep_norms(&chosen, statistics);
    track(backbone, chosen)
}

/// A backbone of which nothing is trained.
pub(crate) fn frozen_backbone<B: Backend>(backbone: AnyBackbone<B>) -> AnyBackbone<B> {
    track_backbone(backbone, |_| false, BatchStatistics::Frozen)
}

/// Marks the parameters whose path is chosen as trained and all others as frozen.
pub(crate) fn track<B: Backend, M: Module<B>>(module: M, chosen: impl Fn(&str) -> bool) -> M {
    mark(module, |path| Some(chosen(path)))
}

/// Freezes the parameters whose path is chosen; the others stay what they are.
pub fn freeze<B: Backend, M: Module<B>>(module: M, chosen: impl Fn(&str) -> bool) -> M {
    mark(module, |path| chosen(path).then_some(false))
}

/// Freezes the output norms of stages that a head does not read: no gradient would ever reach them.
pub fn freeze_output_norms<B: Backend, M: Module<B>>(
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
        let path = self.path.join(".");
        match (self.is_trained)(&path) {
            // A batch norm's statistics have no gradient.
            Some(is_trained) if !is_statistic(&path) => param.set_require_grad(is_trained),
            _ => param,
        }
    }
}
