//! Softmax of rows.

use burn_flex::FlexTensor;

use super::math::exp;
use super::storage::transform;
use super::vector::vectorised;

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

/// Maximum number of columns of [`softmax_columns`].
pub(super) const MOST: usize = 32;

/// Replaces the elements of every column by `exp(x - max)`, and writes the columns' `1 / sum exp(x - max)` to
/// `inverses`: whoever multiplies by the columns afterwards has fewer values to scale.
///
/// # Panics
///
/// If the number of columns is not a power of two from 2 to [`MOST`].
pub(super) fn softmax_columns(values: &mut [f32], inverses: &mut [f32]) {
    match inverses.len() {
        32 => columns::<32>(values, inverses),
        16 => columns::<16>(values, inverses),
        8 => columns::<8>(values, inverses),
        4 => columns::<4>(values, inverses),
        2 => columns::<2>(values, inverses),
        other => panic!("{other} columns"),
    }
}

fn columns<const W: usize>(values: &mut [f32], inverses: &mut [f32]) {
    // Rows after which their sum is added to the total, so that its error grows slowly.
    const ROWS: usize = 64;
    vectorised(
        #[inline(always)]
        || {
            let (rows, _) = values.as_chunks_mut::<W>();
            let mut maxima = [f32::NEG_INFINITY; W];
            for row in &*rows {
                for (maximum, &value) in maxima.iter_mut().zip(row) {
                    *maximum = if value > *maximum { value } else { *maximum };
                }
            }
            let mut totals = [0.0; W];
            for rows in rows.chunks_mut(ROWS) {
                let mut sums = [0.0; W];
                for row in rows {
                    for lane in 0..W {
                        row[lane] = exp(row[lane] - maxima[lane]);
                        sums[lane] += row[lane];
                    }
                }
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total += sum;
                }
            }
            for (inverse, total) in inverses.iter_mut().zip(totals) {
                *inverse = 1.0 / total;
            }
        },
    );
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
