//! Softmax of rows.

use burn_flex::FlexTensor;

use super::math::exp;
use super::storage::transform;

/// Number of accumulators of a maximum or sum, so that it vectorises; few, since rows are short.
const LANES: usize = 8;

/// Folds values with `f`, which is associative, in [`LANES`] lanes.
#[inline(always)]
fn fold(values: &[f32], start: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = f(*lane, value);
        }
    }
    let lanes = lanes.iter().copied();
    rest.iter().copied().chain(lanes).fold(start, f)
}

/// Computes `exp(x - max) / sum exp(x - max)` in place.
#[inline(always)]
pub(super) fn softmax_row(row: &mut [f32]) {
    let maximum = fold(
        row,
        f32::NEG_INFINITY,
        #[inline(always)]
        |a, b| if b > a { b } else { a },
    );
    for value in &mut *row {
        *value = exp(*value - maximum);
    }
    let sum = fold(
        row,
        0.0,
        #[inline(always)]
        |a, b| a + b,
    );
    let inverse = 1.0 / sum;
    for value in row {
        *value *= inverse;
    }
}

/// Softmax over the last axis of `[rows, columns]`.
pub(super) fn forward(x: FlexTensor) -> FlexTensor {
    let columns = x.layout().shape()[1];
    transform(
        x,
        columns,
        #[inline(always)]
        |_, chunk| {
            for row in chunk.chunks_exact_mut(columns) {
                softmax_row(row);
            }
        },
    )
}

/// The gradient of the rows, given the output.
pub(super) fn backward(output: FlexTensor, grad: FlexTensor) -> FlexTensor {
    let output = output.to_contiguous();
    let columns = output.layout().shape()[1];
    let values: &[f32] = output.storage();
    transform(
        grad,
        columns,
        #[inline(always)]
        |start, chunk| {
            let outputs = values[start..].chunks_exact(columns);
            for (grad, output) in chunk.chunks_exact_mut(columns).zip(outputs) {
                softmax_backward_row(grad, output);
            }
        },
    )
}

/// `grad = output * (grad - sum grad * output)`
#[inline(always)]
pub(super) fn softmax_backward_row(grad: &mut [f32], output: &[f32]) {
    for (grad, &output) in grad.iter_mut().zip(output) {
        *grad *= output;
    }
    let sum = fold(
        grad,
        0.0,
        #[inline(always)]
        |a, b| a + b,
    );
    for (grad, &output) in grad.iter_mut().zip(output) {
        *grad = output.mul_add(-sum, *grad);
    }
}
