//! Bias and activation.

use burn_flex::FlexTensor;

use super::math::normal;
use super::storage::transform;
use crate::activation::{Activation, INVERSE_SQRT_TWO_PI};

/// See [`crate::bias_activation`]; `x` is `[outer, channels, inner]`.
pub(super) fn forward(
    x: FlexTensor,
    bias: Option<FlexTensor>,
    activation: Activation,
) -> FlexTensor {
    if bias.is_none() && activation == Activation::Identity {
        return x;
    }
    let bias = bias.map(|bias| bias.to_contiguous());
    let rows = Rows::of(&x, bias.as_ref());
    transform(
        x,
        rows.unit,
        #[inline(always)]
        |start, chunk| {
            rows.add(start, chunk);
            apply(activation, chunk);
        },
    )
}

/// The activation in place.
#[inline(always)]
pub(super) fn apply(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Identity => {}
        Activation::Relu => {
            for value in values {
                *value = value.max(0.0);
            }
        }
        Activation::Relu6 => {
            for value in values {
                *value = value.clamp(0.0, 6.0);
            }
        }
        Activation::Gelu => {
            for value in values {
                *value *= normal(*value).0;
            }
        }
    }
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
    transform(
        grad,
        rows.unit,
        #[inline(always)]
        |start, grad| {
            let kept = &kept[start..start + grad.len()];
            match activation {
                Activation::Identity => {}
                Activation::Relu => {
                    for (grad, &output) in grad.iter_mut().zip(kept) {
                        *grad = if output > 0.0 { *grad } else { 0.0 };
                    }
                }
                Activation::Relu6 => {
                    for (grad, &output) in grad.iter_mut().zip(kept) {
                        *grad = if output > 0.0 && output < 6.0 {
                            *grad
                        } else {
                            0.0
                        };
                    }
                }
                Activation::Gelu => rows.gelu_backward(start, grad, kept),
            }
        },
    )
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

    /// Adds the bias to the chunk that begins at element `start`.
    #[inline(always)]
    fn add(&self, start: usize, chunk: &mut [f32]) {
        let Some(bias) = self.bias else { return };
        if self.inner == 1 {
            for row in chunk.chunks_exact_mut(self.channels) {
                for (value, &bias) in row.iter_mut().zip(bias) {
                    *value += bias;
                }
            }
        } else {
            let first = start / self.inner;
            for (index, row) in chunk.chunks_exact_mut(self.inner).enumerate() {
                let bias = bias[(first + index) % self.channels];
                for value in row {
                    *value += bias;
                }
            }
        }
    }

    #[inline(always)]
    fn gelu_backward(&self, start: usize, grad: &mut [f32], x: &[f32]) {
        let Some(bias) = self.bias else {
            return gelu_backward(grad, x, std::iter::repeat(&0.0));
        };
        let rows = grad
            .chunks_exact_mut(self.unit)
            .zip(x.chunks_exact(self.unit));
        if self.inner == 1 {
            for (grad, x) in rows {
                gelu_backward(grad, x, bias);
            }
        } else {
            let first = start / self.inner;
            for (index, (grad, x)) in rows.enumerate() {
                let bias = &bias[(first + index) % self.channels];
                gelu_backward(grad, x, std::iter::repeat(bias));
            }
        }
    }
}

/// `grad *= Phi(x + bias) + (x + bias) phi(x + bias)`
#[inline(always)]
fn gelu_backward<'a>(grad: &mut [f32], x: &[f32], bias: impl IntoIterator<Item = &'a f32>) {
    for ((grad, &x), &bias) in grad.iter_mut().zip(x).zip(bias) {
        let x = x + bias;
        let (distribution, density) = normal(x);
        *grad *= x.mul_add(density * INVERSE_SQRT_TWO_PI as f32, distribution);
    }
}
