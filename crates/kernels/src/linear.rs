//! Matrix products over positions.

use burn::tensor::Tensor;

use crate::KernelBackend;
use crate::activation::{Activation, bias_activation};

/// `x W + b` as a single matrix product over all positions.
///
/// Burn broadcasts a weight over every leading axis, which makes one small product per row of a
/// feature map; flattened, it is one product of the whole map.
///
/// # Shapes
///
/// - `x`: `[..., inputs]`
/// - `weight`: `[inputs, outputs]`, `bias`: `[outputs]`
/// - output: `[..., outputs]`
pub fn linear<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, D> {
    linear_activation(x, weight, bias, Activation::Identity)
}

/// [`linear`] and an activation.
///
/// # Shapes
///
/// As [`linear`].
pub fn linear_activation<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
    activation: Activation,
) -> Tensor<B, D> {
    let mut shape = x.shape();
    let [inputs, outputs] = weight.dims();
    let rows = x.reshape([shape.num_elements() / inputs, inputs]);
    let output = bias_activation(rows.matmul(weight), bias, 1, activation);
    shape[D - 1] = outputs;
    output.reshape(shape)
}

/// A 1x1 convolution as a matrix product: `y[n, :, p] = W^T x[n, :, p] + b`.
///
/// Burn's convolution keeps its input for the backward pass even where the weight is frozen; a
/// product keeps only what a gradient needs.
///
/// # Shapes
///
/// - `x`: `[batch, inputs, height, width]`
/// - `weight`: `[inputs, outputs]`, `bias`: `[outputs]`
/// - output: `[batch, outputs, height, width]`
pub fn project_channels<B: KernelBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 4> {
    project_channels_activation(x, weight, bias, Activation::Identity)
}

/// [`project_channels`] and an activation.
pub(crate) fn project_channels_activation<B: KernelBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
    activation: Activation,
) -> Tensor<B, 4> {
    let [batch, inputs, height, width] = x.dims();
    let outputs = weight.dims()[1];
    let columns = x.reshape([batch, inputs, height * width]);
    let product = weight.transpose().unsqueeze::<3>().matmul(columns);
    bias_activation(product, bias, 1, activation).reshape([batch, outputs, height, width])
}
