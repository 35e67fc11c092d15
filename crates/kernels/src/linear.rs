//! Matrix products over positions.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use crate::activation::{Activation, bias_activation};
use crate::primitive::{float, tensor};
use crate::{ConvolutionOptions, KernelBackend, convolution};

/// `x W + b` as a single matrix product over all positions.
///
/// Burn broadcasts a weight over every leading axis, which makes one small product per row of a feature map;
/// here the map is flattened into one product. Under autodiff the input is kept only for a trained weight, and
/// the weight only for a tracked input.
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

/// [`linear`] followed by an activation.
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
    by_rows(x, |rows| {
        B::linear_rows(rows, float(weight), bias.map(float), activation)
    })
}

/// A linear layer, GELU and a second linear layer: the MLP of a transformer.
///
/// On Flex without a graph the map between the two layers is never stored as a whole.
///
/// # Shapes
///
/// - `x`, output: `[..., channels]`
/// - `weights`: `[channels, hidden]` and `[hidden, channels]`, each with its bias
pub fn feed_forward<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    weights: [(Tensor<B, 2>, Option<Tensor<B, 1>>); 2],
) -> Tensor<B, D> {
    let weights = weights.map(|(weight, bias)| (float(weight), bias.map(float)));
    by_rows(x, |rows| B::feed_forward(rows, weights))
}

/// Applies an operator on rows to a map with its channels last.
fn by_rows<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    operator: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>,
) -> Tensor<B, D> {
    let mut shape = x.shape();
    let inputs = shape[D - 1];
    let rows = x.reshape([shape.num_elements() / inputs, inputs]);
    let output = tensor::<B, 2>(operator(float(rows)));
    shape[D - 1] = output.dims()[1];
    output.reshape(shape)
}

/// A 1x1 convolution: `y[n, :, p] = W^T x[n, :, p] + b`.
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
    let [inputs, outputs] = weight.dims();
    let weight = weight.transpose().reshape([outputs, inputs, 1, 1]);
    convolution(x, weight, bias, ConvolutionOptions::pointwise())
}

pub(crate) fn forward<B: KernelBackend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    activation: Activation,
) -> FloatTensor<B> {
    let product = tensor::<B, 2>(x).matmul(tensor(weight));
    float(bias_activation(product, bias.map(tensor), 1, activation))
}

pub(crate) fn feed_forward_rows<B: KernelBackend>(
    x: FloatTensor<B>,
    [first, second]: [(FloatTensor<B>, Option<FloatTensor<B>>); 2],
) -> FloatTensor<B> {
    let hidden = B::linear_rows(x, first.0, first.1, Activation::Gelu);
    B::linear_rows(hidden, second.0, second.1, Activation::Identity)
}
