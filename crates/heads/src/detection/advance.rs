//! Losses whose gradients are taken before the next loss is made.
//!
//! A detector of regions has many losses on the same maps: of the proposals, and of every stage its classes,
//! boxes and masks. Summed and differentiated at once, all of their graphs are alive together; stage by
//! stage, one is. The gradients are the same, of the maps and of the parameters: sums of the parts'.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

/// Maps that several losses start from, and what their gradients sum up to so far.
pub(super) struct Maps<B: AutodiffBackend> {
    tracked: Vec<Tensor<B, 4>>,
    gradients: Vec<Option<Tensor<B::InnerBackend, 4>>>,
    /// Of the losses so far with the gradients of their parameters, `[1]`.
    total: Option<Tensor<B, 1>>,
}

impl<B: AutodiffBackend> Maps<B> {
    /// Nothing is lost of these yet.
    pub(super) fn new(tracked: Vec<Tensor<B, 4>>) -> Self {
        Self {
            gradients: vec![None; tracked.len()],
            tracked,
            total: None,
        }
    }

    /// The same values, of which a loss is to be made.
    pub(super) fn leaves(&self) -> Vec<Tensor<B, 4>> {
        let leaf = |map: &Tensor<B, 4>| Tensor::from_inner(map.clone().inner()).require_grad();
        self.tracked.iter().map(leaf).collect()
    }

    /// Takes in a loss of `leaves` and of the parameters of a module, `[1]`; its graph is gone after that.
    pub(super) fn take<M: Module<B>>(
        &mut self,
        loss: Tensor<B, 1>,
        leaves: &[Tensor<B, 4>],
        module: &M,
    ) {
        let value = loss.clone().detach();
        let gradients = loss.backward();
        for (sum, leaf) in self.gradients.iter_mut().zip(leaves) {
            let gradient = leaf.grad(&gradients);
            *sum = match (sum.take(), gradient) {
                (Some(sum), Some(gradient)) => Some(sum + gradient),
                (sum, gradient) => sum.or(gradient),
            };
        }
        let mut parameters = Parameters {
            gradients: &gradients,
            total: None,
        };
        module.visit(&mut parameters);
        add_to(&mut self.total, with_value(parameters.total, value));
    }

    /// A loss, `[1]`, with the value of all that were taken in, and with their gradients.
    pub(super) fn loss(self, device: &B::Device) -> Tensor<B, 1> {
        let mut of_maps = None;
        for (map, gradient) in self.tracked.into_iter().zip(self.gradients) {
            if let Some(gradient) = gradient {
                add_to(&mut of_maps, linear(map, gradient));
            }
        }
        let zero = Tensor::zeros([1], device);
        let total = self.total.unwrap_or_else(|| zero.clone());
        total + with_value(of_maps, zero)
    }
}

fn add_to<B: AutodiffBackend>(sum: &mut Option<Tensor<B, 1>>, term: Tensor<B, 1>) {
    *sum = Some(match sum.take() {
        Some(sum) => sum + term,
        None => term,
    });
}

/// What has this gradient by `x`, and whatever value, `[1]`.
fn linear<B: AutodiffBackend, const D: usize>(
    x: Tensor<B, D>,
    gradient: Tensor<B::InnerBackend, D>,
) -> Tensor<B, 1> {
    (x * Tensor::from_inner(gradient)).sum()
}

/// The gradients of a term with another value.
fn with_value<B: AutodiffBackend>(term: Option<Tensor<B, 1>>, value: Tensor<B, 1>) -> Tensor<B, 1> {
    match term {
        Some(term) => {
            let own = term.clone().detach();
            term + (value - own)
        }
        None => value,
    }
}

/// Sums what has the gradients of parameters.
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
