//! A check that every trained parameter receives gradients.
//!
//! Most trained parameters have a gradient in every batch, so the first step shows whether one is missing. Some
//! parameters of a detector have a gradient only for batches with objects. For these the check waits and
//! reports after an epoch.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use gradway_backbone::{Kind, ParameterPath, ParameterVisitor, visit_parameters};

/// The trained parameters of a module that have no gradient, by path.
///
/// A gradient of zeros counts as a gradient: an up projection that starts at zero stops the gradients of
/// earlier layers for one step. A missing gradient means that the loss does not depend on the parameter.
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

/// Tracks the parameters that have not received a gradient yet.
#[derive(Debug, Default)]
pub struct Guard {
    /// `None` before the first step.
    waiting: Option<Vec<String>>,
}

impl Guard {
    /// Records the gradients of a step; `may_wait` says whether a parameter may have no gradient in a batch.
    ///
    /// # Errors
    ///
    /// In the first step, the parameters without a gradient that must have one.
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

    /// The parameters that no step has reached so far.
    pub fn waiting(&self) -> &[String] {
        self.waiting.as_deref().unwrap_or_default()
    }
}
