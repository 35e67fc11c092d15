//! Losses that are differentiated one after the other.
//!
//! A multi-stage detector has many losses on the same maps: those of the proposals, and the classes, boxes and
//! masks of every stage. A multi-task model has one per task. If they are summed and differentiated at once,
//! all of their graphs are alive together; differentiated one after the other, only one is. The gradients of
//! the maps and of the parameters are the same: the sums of the single ones.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

/// Losses of the same maps, differentiated one by one, with the sum of their gradients so far.
pub struct StagedLoss<B: AutodiffBackend> {
    tracked: Vec<Tensor<B, 4>>,
    gradients: Vec<Option<Tensor<B::InnerBackend, 4>>>,
    /// The sum of the losses so far, with the gradients of their parameters, `[1]`.
    total: Option<Tensor<B, 1>>,
}

impl<B: AutodiffBackend> StagedLoss<B> {
    /// Creates an empty loss of these maps.
    pub fn new(tracked: Vec<Tensor<B, 4>>) -> Self {
        Self {
            gradients: vec![None; tracked.len()],
            tracked,
            total: None,
        }
    }

    /// Returns the maps as new leaves of the graph, to compute a loss from.
    pub fn leaves(&self) -> Vec<Tensor<B, 4>> {
        let leaf = |map: &Tensor<B, 4>| Tensor::from_inner(map.clone().inner()).require_grad();
        self.tracked.iter().map(leaf).collect()
    }

    /// Differentiates a loss of `leaves` and of the parameters of a module, `[1]`, and frees its graph.
    pub fn take<M: Module<B>>(&mut self, loss: Tensor<B, 1>, leaves: &[Tensor<B, 4>], module: &M) {
        let gradients = self.differentiate(loss, leaves);
        self.add_parameters(&gradients, module);
    }

    /// As [`Self::take`], for parameters in several modules: call [`Self::add_parameters`] for each with the
    /// returned gradients.
    pub fn differentiate(&mut self, loss: Tensor<B, 1>, leaves: &[Tensor<B, 4>]) -> B::Gradients {
        add_to(&mut self.total, loss.clone().detach());
        // A loss of nothing, such as that of no regions, has no graph, which Burn refuses to walk.
        let tracked = Tensor::zeros([1], &loss.device()).require_grad();
        let gradients = (loss + tracked).backward();
        for (sum, leaf) in self.gradients.iter_mut().zip(leaves) {
            let gradient = leaf.grad(&gradients);
            *sum = match (sum.take(), gradient) {
                (Some(sum), Some(gradient)) => Some(sum + gradient),
                (sum, gradient) => sum.or(gradient),
            };
        }
        gradients
    }

    /// Adds the gradients of the parameters of a module.
    pub fn add_parameters<M: Module<B>>(&mut self, gradients: &B::Gradients, module: &M) {
        let mut parameters = Parameters {
            gradients,
            total: None,
        };
        module.visit(&mut parameters);
        if let Some(term) = parameters.total {
            add_to(&mut self.total, without_value(term));
        }
    }

    /// Returns a loss, `[1]`, with the value and the gradients of the sum of all losses.
    pub fn loss(self, device: &B::Device) -> Tensor<B, 1> {
        let mut of_maps = None;
        for (map, gradient) in self.tracked.into_iter().zip(self.gradients) {
            if let Some(gradient) = gradient {
                add_to(&mut of_maps, linear(map, gradient));
            }
        }
        let total = self.total.unwrap_or_else(|| Tensor::zeros([1], device));
        match of_maps {
            Some(of_maps) => total + without_value(of_maps),
            None => total,
        }
    }
}

fn add_to<B: AutodiffBackend>(sum: &mut Option<Tensor<B, 1>>, term: Tensor<B, 1>) {
    *sum = Some(match sum.take() {
        Some(sum) => sum + term,
        None => term,
    });
}

/// Returns a term, `[1]`, whose gradient with respect to `x` is this one; its value is arbitrary.
fn linear<B: AutodiffBackend, const D: usize>(
    x: Tensor<B, D>,
    gradient: Tensor<B::InnerBackend, D>,
) -> Tensor<B, 1> {
    (x * Tensor::from_inner(gradient)).sum()
}

/// Returns a term with the same gradients and the value zero.
fn without_value<B: AutodiffBackend>(term: Tensor<B, 1>) -> Tensor<B, 1> {
    let value = term.clone().detach();
    term - value
}

/// Adds a term for the gradient of every parameter.
struct Parameters<'a, B: AutodiffBackend> {
    gradients: &'a B::Gradients,
    total: Option<Tensor<B, 1>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Parameters<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let parameter = param.val();
        if let Some(gradient) = parameter.grad(self.gradients) {
            add_to(&mut self.total, linear(parameter, gradient));
        }
    }
}
