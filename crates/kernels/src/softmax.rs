//! Softmax over the last axis.

use burn::tensor::Tensor;
use burn::tensor::activation as burn_activation;
use burn::tensor::ops::FloatTensor;

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// `exp(x) / sum exp(x)` over the last axis, shifted by its maximum so that nothing overflows.
///
/// Under autodiff only the output is kept.
///
/// # Shapes
///
/// - `x`, output: any
pub fn softmax<B: KernelBackend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    let shape = x.shape();
    let columns = shape[D - 1];
    let rows = x.reshape([shape.num_elements() / columns, columns]);
    tensor::<B, 2>(B::softmax_rows(float(rows))).reshape(shape)
}

pub(crate) fn forward<B: KernelBackend>(x: FloatTensor<B>) -> FloatTensor<B> {
    float(burn_activation::softmax(tensor::<B, 2>(x), 1))
}

/// The gradient of the rows, given the output.
pub(crate) fn backward<B: KernelBackend>(
    output: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let output = tensor::<B, 2>(output);
    let inner = output.clone() * tensor::<B, 2>(grad);
    float(inner.clone() - output * inner.sum_dim(1))
}
