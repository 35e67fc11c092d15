//! Operations on the gradients of a module: norm, scaling and splitting.

use std::collections::HashSet;

use burn::module::{AutodiffModule, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::FloatTensor;
use gradway_kernels::{TrainBackend, sum_of_squares};

/// The square of the Euclidean norm of all gradients together, `[1]`.
pub(crate) fn squares<B: TrainBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &GradientsParams,
) -> Tensor<B::InnerBackend, 1> {
    struct Squares<'a, B: AutodiffBackend> {
        gradients: &'a GradientsParams,
        found: Vec<FloatTensor<B::InnerBackend>>,
    }

    impl<B: AutodiffBackend> ModuleVisitor<B> for Squares<'_, B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(param.id) {
                self.found.push(gradient.into_primitive().tensor());
            }
        }
    }

    let mut squares = Squares::<B> {
        gradients,
        found: Vec::new(),
    };
    module.visit(&mut squares);
    if squares.found.is_empty() {
        return Tensor::zeros([1], &module.devices().first().cloned().unwrap_or_default());
    }
    sum_of_squares(squares.found)
}

/// Multiplies every gradient.
pub(super) fn scale<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: GradientsParams,
    factor: f64,
) -> GradientsParams {
    struct Scale {
        gradients: GradientsParams,
        factor: f64,
    }

    impl<B: AutodiffBackend> ModuleVisitor<B> for Scale {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) {
                self.gradients.register(param.id, gradient * self.factor);
            }
        }
    }

    let mut scale = Scale { gradients, factor };
    module.visit(&mut scale);
    scale.gradients
}

/// Removes and returns the gradients of some parameters.
pub(super) fn split<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &mut GradientsParams,
    ids: &HashSet<ParamId>,
) -> GradientsParams {
    struct Split<'a> {
        gradients: &'a mut GradientsParams,
        ids: &'a HashSet<ParamId>,
        taken: GradientsParams,
    }

    impl<B: AutodiffBackend> ModuleVisitor<B> for Split<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if self.ids.contains(&param.id)
                && let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id)
            {
                self.taken.register(param.id, gradient);
            }
        }
    }

    let mut split = Split {
        gradients,
        ids,
        taken: GradientsParams::new(),
    };
    module.visit(&mut split);
    split.taken
}
