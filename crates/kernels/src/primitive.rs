//! Between tensors and what backends compute with.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

use crate::KernelBackend;

/// A tensor's float primitive.
pub(crate) fn float<B: KernelBackend, const D: usize>(x: Tensor<B, D>) -> FloatTensor<B> {
    x.into_primitive().tensor()
}

/// The tensor of a float primitive.
pub(crate) fn tensor<B: KernelBackend, const D: usize>(x: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(x))
}
