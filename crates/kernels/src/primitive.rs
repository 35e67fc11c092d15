//! Conversions between tensors and the primitives of a backend.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

use crate::KernelBackend;

/// Returns the float primitive of a tensor.
pub(crate) fn float<B: KernelBackend, const D: usize>(x: Tensor<B, D>) -> FloatTensor<B> {
    x.into_primitive().tensor()
}

/// Returns the tensor of a float primitive.
pub(crate) fn tensor<B: KernelBackend, const D: usize>(x: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(x))
}
