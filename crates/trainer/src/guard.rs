//! The guard against a parameter that is meant to be trained and cannot be.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use gradway_adapters::is_statistic;

/// The trained parameters of a module that have no gradient, by path.
///
/// A gradient of zeros is one: an up projection that starts at zero holds back what is behind it for a
/// step. None at all means that the parameter had no part in the loss, and never will.
pub fn unreached<B: AutodiffBackend, M: Module<B>>(
    module: &M,
    gradients: &GradientsParams,
) -> Vec<String> {
    struct Search<'a> {
        path: Vec<String>,
        gradients: &'a GradientsParams,
        unreached: Vec<String>,
    }

    impl<B: AutodiffBackend> ModuleVisitor<B> for Search<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let path = self.path.join(".");
            let gradient = self.gradients.get::<B::InnerBackend, D>(param.id);
            if param.is_require_grad() && !is_statistic(&path) && gradient.is_none() {
                self.unreached.push(path);
            }
        }
    }

    let mut search = Search {
        path: Vec::new(),
        gradients,
        unreached: Vec::new(),
    };
    module.visit(&mut search);
    search.unreached
}
