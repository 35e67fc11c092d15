//! Bias and activation.

use std::mem::MaybeUninit;
use std::ops::Range;

use burn_flex::FlexTensor;

use super::math::normal;
use super::storage::{Elements, Written, map};
use super::vector::vectorised;
use crate::activation::{Activation, INVERSE_SQRT_TWO_PI};

#[inline(always)]
fn identity(x: f32) -> f32 {
    x
}

/// Keeps NaN, unlike `f32::max`.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn relu6(x: f32) -> f32 {
    x.clamp(0.0, 6.0)
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * normal(x).0
}

/// The bias and activation applied to a product's sums as they are written.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    bias: SumBias<'a>,
    activation: Activation,
}

/// The bias of a product.
#[derive(Clone, Copy)]
pub(super) enum SumBias<'a> {
    None,
    /// One for every column.
    Columns(&'a [f32]),
    /// One for every row.
    Rows(&'a [f32]),
}

impl<'a> Finish<'a> {
    pub(super) const NOTHING: Self = Self {
        bias: SumBias::None,
        activation: Activation::Identity,
    };

    pub(super) fn new(bias: SumBias<'a>, activation: Activation) -> Self {
        Self { bias, activation }
    }

    /// The bias of these columns if there is no activation; an empty slice if there is no bias.
    pub(super) fn bias_alone(&self, columns: Range<usize>) -> Option<&'a [f32]> {
        match (self.activation, self.bias) {
            (Activation::Identity, SumBias::None) => Some(&[]),
            (Activation::Identity, SumBias::Columns(bias)) => Some(&bias[columns]),
            _ => None,
        }
    }

    /// Writes `activation(sum + bias)` for these rows and columns of a product to `places`; `sums` are `[rows,
    /// width]`.
    pub(super) fn write<'p>(
        &self,
        sums: &[f32],
        [rows, columns]: [Range<usize>; 2],
        places: impl Iterator<Item = &'p mut [MaybeUninit<f32>]>,
    ) {
        let width = sums.len() / rows.len();
        let rows = places.zip(sums.chunks_exact(width)).zip(rows);
        match self.activation {
            Activation::Identity => self.write_each(rows, columns, identity),
            Activation::Relu => self.write_each(rows, columns, relu),
            Activation::Relu6 => self.write_each(rows, columns, relu6),
            Activation::Gelu => self.write_each(rows, columns, gelu),
        }
    }

    /// As [`Finish::write`], into a matrix with this number of columns.
    pub(super) fn write_into(
        &self,
        places: &mut [MaybeUninit<f32>],
        count: usize,
        sums: &[f32],
        [rows, columns]: [Range<usize>; 2],
    ) {
        let places = places[rows.start * count..rows.end * count].chunks_exact_mut(count);
        let places = places.map(
            #[inline(always)]
            |row| &mut row[columns.clone()],
        );
        self.write(sums, [rows, columns.clone()], places);
    }

    fn write_each<'p, 's>(
        &self,
        mut rows: impl Iterator<Item = ((&'p mut [MaybeUninit<f32>], &'s [f32]), usize)>,
        columns: Range<usize>,
        function: impl Fn(f32) -> f32,
    ) {
        vectorised(
            #[inline(always)]
            || {
                for ((places, sums), row) in rows.by_ref() {
                    let elements = Elements::Copied(sums, places);
                    let Written { .. } = match self.bias {
                        SumBias::None => elements.combine_few(
                            sums,
                            #[inline(always)]
                            |sum, _| function(sum),
                        ),
                        SumBias::Columns(bias) => elements.combine_few(
                            &bias[columns.clone()],
                            #[inline(always)]
                            |sum, bias| function(sum + bias),
                        ),
                        SumBias::Rows(bias) => elements.combine_few(
                            sums,
                            #[inline(always)]
                            |sum, _| function(sum + bias[row]),
                        ),
                    };
                }
            },
        );
    }
}

/// Applies the activation in place.
#[inline(always)]
pub(super) fn apply(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Identity => {}
        Activation::Relu => apply_each(values, relu),
        Activation::Relu6 => apply_each(values, relu6),
        Activation::Gelu => apply_each(values, gelu),
    }
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
            |output| output <= 0.0,
        ),
        Activation::Relu6 => rectifier_backward(
            kept,
            grad,
            #[inline(always)]
            |output| output <= 0.0 || output >= 6.0,
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

/// The gradient of a rectifier: 0 where the output is constant, and the incoming gradient elsewhere, NaN included.
fn rectifier_backward(
    outputs: &[f32],
    grad: FlexTensor,
    is_flat: impl Fn(f32) -> bool + Sync,
) -> FlexTensor {
    map(
        grad,
        1,
        #[inline(always)]
        |start, grad| {
            grad.replace_with(
                [&outputs[start..]],
                #[inline(always)]
                |grad, [output]| if is_flat(output) { 0.0 } else { grad },
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

/// The rows of `[outer, channels, inner]`: rows of one channel each, or of all channels if `inner` is 1.
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

    /// Replaces the elements from `start` on, row by row, with one bias per row or per element.
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
