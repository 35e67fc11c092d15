//! A bias and an activation, one unit per element.

#![allow(
    unstable_name_collisions,
    reason = "`erf` is CubeCL's, which the kernel's compiler knows"
)]

use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{dense, elementwise, empty, with_type_of};
use super::nan::{is_nan, unless_nan};
use crate::activation::{Activation, INVERSE_SQRT_TWO_PI};

/// The cumulative distribution function of the standard normal distribution.
#[cube]
fn distribution(x: f32) -> f32 {
    (x * comptime!(std::f32::consts::FRAC_1_SQRT_2)).erf() * 0.5 + 0.5
}

#[cube]
fn biased<F: Float>(
    x: &Array<F>,
    bias: &Array<F>,
    inner: usize,
    #[comptime] has_bias: bool,
) -> f32 {
    let mut value = f32::cast_from(x[ABSOLUTE_POS]);
    if comptime!(has_bias) {
        value += f32::cast_from(bias[(ABSOLUTE_POS / inner) % bias.len()]);
    }
    value
}

#[cube(launch_unchecked)]
fn forward_kernel<F: Float>(
    x: &Array<F>,
    bias: &Array<F>,
    output: &mut Array<F>,
    inner: usize,
    #[comptime] has_bias: bool,
    #[comptime] activation: Activation,
) {
    if ABSOLUTE_POS >= output.len() {
        terminate!();
    }
    let value = biased::<F>(x, bias, inner, has_bias);
    let activated = match comptime!(activation) {
        Activation::Identity => value,
        Activation::Relu => unless_nan(value, max(value, 0.0)),
        Activation::Relu6 => unless_nan(value, min(max(value, 0.0), 6.0)),
        Activation::Gelu => value * distribution(value),
    };
    output[ABSOLUTE_POS] = F::cast_from(activated);
}

#[cube(launch_unchecked)]
fn backward_kernel(
    kept: &Array<f32>,
    bias: &Array<f32>,
    grad: &Array<f32>,
    output: &mut Array<f32>,
    inner: usize,
    #[comptime] has_bias: bool,
    #[comptime] activation: Activation,
) {
    if ABSOLUTE_POS >= output.len() {
        terminate!();
    }
    let grad = grad[ABSOLUTE_POS];
    output[ABSOLUTE_POS] = match comptime!(activation) {
        Activation::Identity => grad,
        // Of NaN the gradient passes, as in PyTorch.
        Activation::Relu => {
            let value = kept[ABSOLUTE_POS];
            select(is_nan(value) || value > 0.0, grad, 0.0)
        }
        Activation::Relu6 => {
            let value = kept[ABSOLUTE_POS];
            let is_between = value > 0.0 && value < 6.0;
            select(is_nan(value) || is_between, grad, 0.0)
        }
        Activation::Gelu => {
            let value = biased::<f32>(kept, bias, inner, has_bias);
            let density = (value * value * -0.5).exp() * comptime!(INVERSE_SQRT_TWO_PI as f32);
            grad * (distribution(value) + value * density)
        }
    };
}

/// `activation(x + bias)` of `[outer, channels, inner]`.
pub(super) fn forward<R: CubeRuntime>(
    x: CubeTensor<R>,
    bias: Option<CubeTensor<R>>,
    activation: Activation,
) -> CubeTensor<R> {
    let x = dense(x);
    let output = empty(&x, x.meta.shape().clone());
    let (count, dim) = elementwise(&x.client, x.meta.num_elements());
    let (inner, has_bias) = (x.meta.shape()[2], bias.is_some());
    let bias = dense(bias.unwrap_or_else(|| x.clone()));
    // SAFETY: every unit reads and writes its own place of arrays of one length, which it checks.
    with_type_of!(x, F => unsafe {
        forward_kernel::launch_unchecked::<F, R>(
            &x.client.clone(),
            count,
            dim,
            x.into_array_arg(),
            bias.into_array_arg(),
            output.clone().into_array_arg(),
            inner,
            has_bias,
            activation,
        );
    });
    output
}

/// The gradient of `x + bias`.
pub(super) fn backward<R: CubeRuntime>(
    kept: CubeTensor<R>,
    bias: Option<CubeTensor<R>>,
    grad: CubeTensor<R>,
    activation: Activation,
) -> CubeTensor<R> {
    let (kept, grad) = (dense(kept), dense(grad));
    let output = empty(&grad, grad.meta.shape().clone());
    let (count, dim) = elementwise(&grad.client, grad.meta.num_elements());
    let (inner, has_bias) = (grad.meta.shape()[2], bias.is_some());
    let bias = dense(bias.unwrap_or_else(|| kept.clone()));
    // SAFETY: as in `forward`.
    unsafe {
        backward_kernel::launch_unchecked(
            &grad.client.clone(),
            count,
            dim,
            kept.into_array_arg(),
            bias.into_array_arg(),
            grad.into_array_arg(),
            output.clone().into_array_arg(),
            inner,
            has_bias,
            activation,
        );
    }
    output
}
