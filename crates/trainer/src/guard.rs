//! The guard against a parameter that is meant to be trained and cannot be.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use gradway_backbone::{Kind, ParameterPath, ParameterVisitor, visit_parameters};

/// The trained parameters of a module that have no gradient, by path.
///
/// A gradient of zeros is one: an up projection that starts at zero holds back what is behind it for a
/// step. None at all means that the parameter had no part in the loss, and never will.
pub fn unreached<B: AutodiffBackend, M: Module<B>>(
    module: &M,
    gradients: &GradientsParams,
) -> Vec<String> {
    struct Search<'a> {
        gradients: &'a GradientsParams,
        unreached: Vec<String>,
    }

    impl<B: AutodiffBackend> ParameterVisitor<B> for Search<'_> {
        fn visit<const D: usize>(&mut self, path: &ParameterPath, parameter: &Param<Tensor<B, D>>) {
            let is_trained = parameter.is_require_grad() && path.role().kind != Kind::Statistic;
            let gradient = self.gradients.get::<B::InnerBackend, D>(parameter.id);
            if is_trained && gradient.is_none() {
                self.unreached.push(path.to_string());
            }
        }
    }

    let mut search = Search {
        gradients,
        unreached: Vec::new(),
    };
    visit_parameters(module, &mut search);
    search.unreached
}
