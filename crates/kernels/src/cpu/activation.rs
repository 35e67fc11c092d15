//! Bias and activation.

use std::mem::MaybeUninit;

use burn_flex::FlexTensor;

use super::math::normal;
use super::storage::{Elements, Written, map};
use super::vector::vectorised;
use crate::activation::{Activation, INVERSE_SQRT_TWO_PI};

#[inline(always)]
fn identity(x: f32) -> f32 {
    x
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    x.max(0.0)
}

#[inline(always)]
fn relu6(x: f32) -> f32 {
    x.clamp(0.0, 6.0)
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * normal(x).0
}

/// The activation in place.
#[inline(always)]
pub(super) fn apply(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Identity => {}
        Activation::Relu => apply_each(values, relu),
        Activation::Relu6 => apply_each(values, relu6),
        Activation::Gelu => apply_each(values, gelu),
    }
}

/// Writes `activation(value + bias)`.
pub(super) fn finish(
    activation: Activation,
    bias: f32,
    values: &[f32],
    places: &mut [MaybeUninit<f32>],
) {
    match activation {
        Activation::Identity => finish_each(bias, values, places, identity),
        Activation::Relu => finish_each(bias, values, places, relu),
        Activation::Relu6 => finish_each(bias, values, places, relu6),
        Activation::Gelu => finish_each(bias, values, places, gelu),
    }
}

fn finish_each(
    bias: f32,
    values: &[f32],
    places: &mut [MaybeUninit<f32>],
    function: impl Fn(f32) -> f32,
) {
    vectorised(
        #[inline(always)]
        || {
            for (place, &value) in places.iter_mut().zip(values) {
                place.write(function(value + bias));
            }
        },
    );
}

#[inline(always)]
fn apply_each(values: &mut [f32], function: impl Fn(f32) -> f32) {
    for value in values {
        *value = function(*value);
    }
}

/// See [`crate::bias_activation`]; `x` is `[outer, channels, inner]`.
pub(super) fn forward(
    x: FlexTensor,
    bias: Option<FlexTensor>,
    activation: Activation,
) -> FlexTensor {
    let bias = bias.map(|bias| bias.to_contiguous());
    let rows = Rows::of(&x, bias.as_ref());
    match activation {
        Activation::Identity if bias.is_none() => x,
        Activation::Identity => forward_each(x, rows, identity),
        Activation::Relu => forward_each(x, rows, relu),
        Activation::Relu6 => forward_each(x, rows, relu6),
        Activation::Gelu => forward_each(x, rows, gelu),
    }
}

fn forward_each(x: FlexTensor, rows: Rows<'_>, function: impl Fn(f32) -> f32 + Sync) -> FlexTensor {
    map(
        x,
        rows.unit,
        #[inline(always)]
        |start, elements| {
            rows.each(
                start,
                elements,
                #[inline(always)]
                |_, row, bias| match bias {
                    Bias::One(bias) => row.replace(
                        #[inline(always)]
                        |value| function(value + bias),
                    ),
                    Bias::Each(bias) => row.replace_with(
                        [bias],
                        #[inline(always)]
                        |value, [bias]| function(value + bias),
                    ),
                },
            )
        },
    )
}

/// See [`crate::activation::backward`].
pub(super) fn backward(
    kept: FlexTensor,
    bias: Option<FlexTensor>,
    grad: FlexTensor,
    activation: Activation,
) -> FlexTensor {
    let kept = kept.to_contiguous();
    let bias = bias.map(|bias| bias.to_contiguous());
    let rows = Rows::of(&kept, bias.as_ref());
    let kept: &[f32] = kept.storage();
    match activation {
        Activation::Identity => grad,
        Activation::Relu => rectifier_backward(
            kept,
            grad,
            #[inline(always)]
            |output| output > 0.0,
        ),
        Activation::Relu6 => rectifier_backward(
            kept,
            grad,
            #[inline(always)]
            |output| output > 0.0 && output < 6.0,
        ),
        Activation::Gelu => map(
            grad,
            rows.unit,
            #[inline(always)]
            |start, grad| {
                rows.each(
                    start,
                    grad,
                    #[inline(always)]
                    |at, grad, bias| match bias {
                        Bias::One(bias) => grad.replace_with(
                            [&kept[at..]],
                            #[inline(always)]
                            |grad, [x]| grad * gelu_slope(x + bias),
                        ),
                        Bias::Each(bias) => grad.replace_with(
                            [&kept[at..], bias],
                            #[inline(always)]
                            |grad, [x, bias]| grad * gelu_slope(x + bias),
                        ),
                    },
                )
            },
        ),
    }
}

/// The gradient where the output is on the slope, and nothing elsewhere.
fn rectifier_backward(
    outputs: &[f32],
    grad: FlexTensor,
    is_slope: impl Fn(f32) -> bool + Sync,
) -> FlexTensor {
    map(
        grad,
        1,
        #[inline(always)]
        |start, grad| {
            grad.replace_with(
                [&outputs[start..]],
                #[inline(always)]
                |grad, [output]| if is_slope(output) { grad } else { 0.0 },
            )
        },
    )
}

/// `Phi(x) + x phi(x)`
#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    let (distribution, density) = normal(x);
    x.mul_add(density * INVERSE_SQRT_TWO_PI as f32, distribution)
}

/// Where the channel of an element of `[outer, channels, inner]` is: rows of one channel each, or,
/// where `inner` is 1, rows of all channels.
struct Rows<'a> {
    bias: Option<&'a [f32]>,
    channels: usize,
    inner: usize,
    /// Length of a row.
    unit: usize,
}

/// The bias of a row.
enum Bias<'a> {
    One(f32),
    Each(&'a [f32]),
}

impl<'a> Rows<'a> {
    fn of(x: &FlexTensor, bias: Option<&'a FlexTensor>) -> Self {
        let shape = x.layout().shape();
        let (channels, inner) = (shape[1], shape[2]);
        Self {
            bias: bias.map(|bias| bias.storage()),
            channels,
            inner,
            unit: match (bias, inner) {
                (None, _) => 1,
                (Some(_), 1) => channels,
                (Some(_), _) => inner,
            },
        }
    }

    /// Replaces the elements that begin at `start` by rows of one bias or one bias each.
    #[inline(always)]
    fn each(
        &self,
        start: usize,
        elements: Elements<'_>,
        f: impl Fn(usize, Elements<'_>, Bias<'a>) -> Written,
    ) -> Written {
        let Some(bias) = self.bias else {
            return f(start, elements, Bias::One(0.0));
        };
        let first = start / self.unit;
        elements.rows(
            self.unit,
            #[inline(always)]
            |index, row| {
                let bias = match self.inner {
                    1 => Bias::Each(bias),
                    _ => Bias::One(bias[(first + index) % self.channels]),
                };
                f(start + index * self.unit, row, bias)
            },
        )
    }
}
