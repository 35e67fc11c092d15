//! The guard against a parameter that is meant to be trained and cannot be.
//!
//! Most of what is trained has a gradient in every batch, so that the first step tells whether something is left
//! out. What a detector says of objects has one only where there are objects, and no batch is proof against it:
//! that is waited for, and told after an epoch.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use gradway_backbone::{Kind, ParameterPath, ParameterVisitor, visit_parameters};

/// The trained parameters of a module that have no gradient, by path.
///
/// A gradient of zeros is one: an up projection that starts at zero holds back what is behind it for a
/// step. None at all means that the parameter had no part in the loss, and never will.
fn unreached<B: AutodiffBackend, M: Module<B>>(
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
