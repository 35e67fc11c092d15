//! Moving long-lived weights out of the way of a GPU allocator.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Copies the weights of a module to memory apart from the temporary tensors of a step: a GPU allocator
/// searches past everything allocated among those, at every allocation.
///
/// It is for a device with its own memory; elsewhere the copy has no benefit.
pub fn settle<B: Backend, M: Module<B>>(module: M) -> M {
    module.map(&mut Settle)
}

struct Settle;

impl<B: Backend> ModuleMapper<B> for Settle {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        param.map(|tensor| {
            let is_trained = tensor.is_require_grad();
            let (device, tensor) = (tensor.device(), tensor.set_require_grad(false));
            // While there is the original, the product is not in its place.
            let copy = |tensor: Tensor<B, D>| tensor.clone().mul_scalar(1.0);
            let settled = B::memory_persistent_allocations(&device, tensor, copy);
            settled.set_require_grad(is_trained)
        })
    }
}
