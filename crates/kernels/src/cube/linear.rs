//! The gradient of a linear layer's weight.

use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;

use crate::backend::KernelBackend;
use crate::primitive::{float, tensor};

/// The product of inputs and gradients over all rows.
pub(super) fn backward_weight<B: KernelBackend>(
    x: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    // A product whose inner axis is all positions has few outputs: by parts, whose sum it is, it
    // fills the card.
    let [rows, inputs] = x.shape().dims();
    let outputs = grad.shape()[1];
    let parts = parts(rows);
    let x = tensor::<B, 2>(x).reshape([parts, rows / parts, inputs]);
    let grad = tensor::<B, 2>(grad).reshape([parts, rows / parts, outputs]);
    let products = x.swap_dims(1, 2).matmul(grad);
    float(products.sum_dim(0).reshape([inputs, outputs]))
}

/// Number of parts of a sum over `rows`: a divisor of it, at most as many as fill a GPU.
fn parts(rows: usize) -> usize {
    const MOST: usize = 128;
    const SHORTEST: usize = 256;
    let most = (rows / SHORTEST).clamp(1, MOST);
    (1..=most)
        .rev()
        .find(|parts| rows.is_multiple_of(*parts))
        .unwrap_or(1)
}
