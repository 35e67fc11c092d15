//! A bias per channel and an activation, in one pass.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// The activation after a matrix product or a convolution. NaN stays NaN, as in PyTorch, so that a rectifier
/// does not hide an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// No activation.
    Identity,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)` (Krizhevsky 2010)
    Relu6,
    /// `x Phi(x)` with the exact normal distribution (Hendrycks & Gimpel 2016)
    Gelu,
}

/// `activation(x + bias)`.
///
/// Under autodiff GELU keeps its input; the others keep at most their output.
///
/// # Shapes
///
/// - `x`: any, with its channels on `axis`
/// - `bias`: `[channels]`
/// - output: as `x`
pub fn bias_activation<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    bias: Option<Tensor<B, 1>>,
    axis: usize,
    activation: Activation,
) -> Tensor<B, D> {
    let shape = x.shape();
    let channels = shape[axis];
    let inner = shape[axis + 1..].iter().product::<usize>();
    let outer = shape[..axis].iter().product::<usize>();
    let x = x.reshape([outer, channels, inner]);
    let output = B::bias_activation(float(x), bias.map(float), activation);
    tensor::<B, 3>(output).reshape(shape)
}

/// [`bias_activation`] in plain Burn.
pub fn bias_activation_reference<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    bias: Option<Tensor<B, 1>>,
    axis: usize,
    activation: Activation,
) -> Tensor<B, D> {
    let x = match bias {
        Some(bias) => {
            let mut shape = [1; D];
            shape[axis] = x.dims()[axis];
            x + bias.reshape(shape)
        }
        None => x,
    };
    match activation {
        Activation::Identity => x,
        Activation::Relu => flat_below(x),
        Activation::Relu6 => {
            let is_above = x.clone().greater_equal_elem(6.0);
            flat_below(x).mask_fill(is_above, 6.0)
        }
        // Not Burn's own, whose default backward differentiates the tanh approximation of a forward
        // that is exact: an error of up to 1e-3.
        Activation::Gelu => x.clone() * distribution(x),
    }
}

/// `max(x, 0)` with a gradient of 0 at 0; NaN stays NaN.
fn flat_below<B: KernelBackend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    let is_below = x.clone().lower_equal_elem(0.0);
    x.mask_fill(is_below, 0.0)
}

/// Exact GELU, `x Phi(x)`.
pub fn gelu<B: KernelBackend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    bias_activation(x, None, D - 1, Activation::Gelu)
}

/// ReLU, `max(x, 0)`.
pub fn relu<B: KernelBackend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    bias_activation(x, None, D - 1, Activation::Relu)
}

/// The cumulative distribution function of the standard normal distribution.
fn distribution<B: KernelBackend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    (x * std::f64::consts::FRAC_1_SQRT_2).erf() * 0.5 + 0.5
}

/// The sum of `[outer, channels, inner]` over all axes but the channels: the gradient of a bias.
pub(crate) fn channel_sum<B: KernelBackend>(grad: FloatTensor<B>) -> FloatTensor<B> {
    let grad = tensor::<B, 3>(grad);
    let [outer, channels, inner] = grad.dims();
    let sums = match inner {
        1 => grad.reshape([outer, channels]),
        _ => grad.sum_dim(2).reshape([outer, channels]),
    };
    float(sums.sum_dim(0).reshape([channels]))
}

pub(crate) fn forward<B: KernelBackend>(
    x: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    activation: Activation,
) -> FloatTensor<B> {
    let bias = bias.map(tensor::<B, 1>);
    float(bias_activation_reference(
        tensor::<B, 3>(x),
        bias,
        1,
        activation,
    ))
}

/// The gradient of `x + bias`; `kept` is `x` for GELU, the output for the rectifiers.
pub(crate) fn backward<B: KernelBackend>(
    kept: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    grad: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let (kept, grad) = (tensor::<B, 3>(kept), tensor::<B, 3>(grad));
    float(match activation {
        Activation::Identity => grad,
        Activation::Relu => grad.mask_fill(kept.lower_equal_elem(0.0), 0.0),
        Activation::Relu6 => {
            let grad = grad.mask_fill(kept.clone().lower_equal_elem(0.0), 0.0);
            grad.mask_fill(kept.greater_equal_elem(6.0), 0.0)
        }
        Activation::Gelu => {
            let bias = bias.map(tensor::<B, 1>);
            let x = bias_activation_reference(kept, bias, 1, Activation::Identity);
            let distribution = distribution(x.clone());
            let density = (x.clone().square() * -0.5).exp() * INVERSE_SQRT_TWO_PI;
            grad * (distribution + x * density)
        }
    })
}

pub(crate) const INVERSE_SQRT_TWO_PI: f64 = 0.398_942_280_401_432_7;
