//! Layer normalisation that keeps only its input for the backward pass.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// Layer normalisation over the last axis (Ba et al. 2016), `(x - mean) / sqrt(var + epsilon) *
/// gamma + beta`.
///
/// Under autodiff only `x` and `gamma` are kept. The backward pass recomputes mean and deviation, which costs
/// one more read of `x`.
///
/// # Shapes
///
/// - `x`: `[..., channels]`
/// - `gamma`, `beta`: `[channels]`
/// - output: as `x`
pub fn layer_norm<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, D> {
    let shape = x.shape();
    let channels = shape[D - 1];
    let rows = x.reshape([shape.num_elements() / channels, channels]);
    let output = B::layer_norm_rows(float(rows), float(gamma), float(beta), epsilon);
    tensor::<B, 2>(output).reshape(shape)
}

/// [`layer_norm`] in plain Burn: the reference for every faster implementation.
pub fn layer_norm_reference<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, D> {
    let mean = x.clone().mean_dim(D - 1);
    let centred = x - mean;
    let variance = centred.clone().square().mean_dim(D - 1);
    let normalised = centred / (variance + epsilon).sqrt();
    normalised * gamma.unsqueeze() + beta.unsqueeze()
}

/// Gradients of `x`, `gamma` and `beta` for rows `x` and the output's gradient `grad`.
pub(crate) fn backward<B: KernelBackend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f64,
) -> [FloatTensor<B>; 3] {
    let x = tensor::<B, 2>(x);
    let gamma = tensor::<B, 1>(gamma);
    let grad = tensor::<B, 2>(grad);
    let channels = x.dims()[1];

    let mean = x.clone().mean_dim(1);
    let centred = x - mean;
    let deviation = (centred.clone().square().mean_dim(1) + epsilon).sqrt();
    let normalised = centred / deviation.clone();

    let grad_gamma = (grad.clone() * normalised.clone()).sum_dim(0);
    let grad_beta = grad.clone().sum_dim(0);

    let inner = grad * gamma.unsqueeze();
    let inner_mean = inner.clone().mean_dim(1);
    let along = (inner.clone() * normalised.clone()).mean_dim(1);
    let grad_x = (inner - inner_mean - normalised * along) / deviation;

    [
        float(grad_x),
        float(grad_gamma.reshape([channels])),
        float(grad_beta.reshape([channels])),
    ]
}
