//! Freezing the parameters that a head does not use.

use std::collections::BTreeSet;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use gradway_backbone::{ParameterPath, ParameterVisitor, Phase, TrainBackbone, visit_parameters};
use gradway_kernels::TrainBackend;

use crate::encoder::Encoder;
use crate::table::Tuned;
use crate::track::{freeze, freeze_output_norms};

/// Side of the image that is used to find the parameters after a stage: one position of the coarsest map.
const SIDE: usize = 32;

/// Freezes the parameters that have no gradient because a head does not read all stages: the output norms of
/// the stages that it does not read, the parts of the method that serve only these, and everything after the
/// last stage that it reads. Returns the module and the paths of these parameters.
///
/// The parameters after a stage are found from the graph of one small image, so no method has to declare them.
/// A parameter without a gradient from any stage is not changed: that is an error of the method, which the
/// first step reports.
pub fn freeze_unread<B: TrainBackend, N: TrainBackbone<B>>(
    encoder: &Encoder<B, N>,
    tuned: Tuned<B, N>,
    is_read: impl Fn(usize) -> bool,
    device: &B::Device,
) -> (Tuned<B, N>, Vec<String>) {
    let chosen = paths(&tuned, |param| param.is_trained);
    let tuned = freeze_behind(
        encoder,
        freeze_output_norms(tuned, &is_read),
        is_read,
        device,
    );
    let left = paths(&tuned, |param| param.is_trained);
    let frozen = chosen.difference(&left).cloned().collect();
    (tuned, frozen)
}

/// Freezes the parameters after the last stage that is read, and those that serve only stages that are not read.
fn freeze_behind<B: TrainBackend, N: TrainBackbone<B>>(
    encoder: &Encoder<B, N>,
    tuned: Tuned<B, N>,
    is_read: impl Fn(usize) -> bool,
    device: &B::Device,
) -> Tuned<B, N> {
    let stages = encoder.description().stages().count();
    if (0..stages).all(&is_read) {
        return tuned;
    }
    let reached = |is_read: &dyn Fn(usize) -> bool| {
        let images = Tensor::zeros([1, 3, SIDE, SIDE], device);
        let features = encoder.features(&tuned, images, Phase::Inference);
        let maps = (0..tuned.tasks()).flat_map(|task| {
            let maps = features.of_task(task).into_iter().enumerate();
            maps.filter(|(stage, _)| is_read(*stage))
                .map(|(_, map)| map.sum())
                .collect::<Vec<_>>()
        });
        // Where nothing is trained in front of a stage there is no graph, which Burn refuses to walk.
        let tracked = Tensor::<B, 1>::zeros([1], device).require_grad();
        let sum = maps.fold(tracked, |sum, map| sum + map);
        let gradients = sum.backward();
        paths(&tuned, |param| {
            param.is_trained && param.has_gradient(&gradients)
        })
    };
    let (by_any, by_read) = (reached(&|_| true), reached(&is_read));
    freeze(tuned, |path| {
        by_any.contains(path) && !by_read.contains(path)
    })
}

/// A parameter with any number of axes.
struct Parameter<'a, B: AutodiffBackend> {
    is_trained: bool,
    gradient: &'a dyn Fn(&B::Gradients) -> bool,
}

impl<B: AutodiffBackend> Parameter<'_, B> {
    fn has_gradient(&self, gradients: &B::Gradients) -> bool {
        (self.gradient)(gradients)
    }
}

/// Returns the paths of the selected parameters.
fn paths<B: AutodiffBackend, M: Module<B>>(
    module: &M,
    choose: impl Fn(Parameter<'_, B>) -> bool,
) -> BTreeSet<String> {
    struct Search<F> {
        choose: F,
        found: BTreeSet<String>,
    }

    impl<B: AutodiffBackend, F: Fn(Parameter<'_, B>) -> bool> ParameterVisitor<B> for Search<F> {
        fn visit<const D: usize>(&mut self, path: &ParameterPath, parameter: &Param<Tensor<B, D>>) {
            let chosen = (self.choose)(Parameter {
                is_trained: parameter.is_require_grad(),
                gradient: &|gradients| parameter.val().grad(gradients).is_some(),
            });
            if chosen {
                self.found.insert(path.to_string());
            }
        }
    }

    let mut search = Search {
        choose,
        found: BTreeSet::new(),
    };
    visit_parameters(module, &mut search);
    search.found
}
