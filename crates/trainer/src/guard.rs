//! The guard against a parameter that is meant to be trained and cannot be.
//!
//! Most of what is trained has a gradient in every batch, so that the first step tells whether something is left
//! out. What a detector says of objects has one only where there are objects, and no batch is proof against it:
//! that is waited for, and told after an epoch.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use gradway_adapters::is_statistic;

/// The trained parameters of a module that have no gradient, by path.
///
/// A gradient of zeros is one: an up projection that starts at zero holds back what is behind it for a
/// step. None at all means that the parameter had no part in the loss, and never will.
fn unreached<B: AutodiffBackend, M: Module<B>>(
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

/// The parameters that no gradient has reached yet.
#[derive(Debug, Default)]
pub struct Guard {
    /// None before the first step.
    waiting: Option<Vec<String>>,
}

impl Guard {
    /// Takes in the gradients of a step; `may_wait` tells whether a parameter may be without one in a batch.
    ///
    /// # Errors
    ///
    /// The parameters that may not, in the first step.
    pub fn step<B: AutodiffBackend, M: Module<B>>(
        &mut self,
        module: &M,
        gradients: &GradientsParams,
        may_wait: impl Fn(&str) -> bool,
    ) -> Result<(), Vec<String>> {
        match &mut self.waiting {
            None => {
                let (waiting, never) = unreached(module, gradients)
                    .into_iter()
                    .partition::<Vec<_>, _>(|path| may_wait(path));
                if !never.is_empty() {
                    return Err(never);
                }
                self.waiting = Some(waiting);
            }
            Some(waiting) if !waiting.is_empty() => {
                let still = unreached(module, gradients);
                waiting.retain(|path| still.contains(path));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Those that no step has reached so far.
    pub fn waiting(&self) -> &[String] {
        self.waiting.as_deref().unwrap_or_default()
    }
}
