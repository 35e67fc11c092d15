//! Layer norm and batch norm.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::storage::{tensor, transform};
use super::vector::{sums, total, vectorised};

/// Mean and sum of squared deviations of a row.
#[inline(always)]
fn moments(row: &[f32]) -> (f32, f32) {
    let [total] = sums(
        [row],
        #[inline(always)]
        |[value]| [value],
    );
    let mean = total / row.len() as f32;
    let [squares] = sums(
        [row],
        #[inline(always)]
        |[value]| [(value - mean) * (value - mean)],
    );
    (mean, squares)
}

/// Mean and biased variance of every channel of `[batch, channels, positions]`.
fn statistics(x: &[f32], channels: usize, positions: usize) -> (Vec<f32>, Vec<f32>) {
    let rows: Vec<(f32, f32)> = x
        .par_chunks(positions)
        .map(|row| {
            vectorised(
                #[inline(always)]
                || moments(row),
            )
        })
        .collect();
    let batch = rows.len() / channels;
    (0..channels)
        .map(|channel| {
            // Chan et al. 1979, for parts of one size.
            let rows = || rows.iter().skip(channel).step_by(channels);
            let mean = rows().map(|row| f64::from(row.0)).sum::<f64>() / batch as f64;
            let squares: f64 = rows()
                .map(|row| {
                    let apart = f64::from(row.0) - mean;
                    f64::from(row.1) + positions as f64 * apart * apart
                })
                .sum();
            (mean as f32, (squares / (batch * positions) as f64) as f32)
        })
        .unzip()
}

/// Normalises with batch statistics: output, mean, biased variance.
pub(super) fn batch_norm(
    x: FlexTensor,
    gamma: &FlexTensor,
    beta: &FlexTensor,
    epsilon: f64,
) -> [FlexTensor; 3] {
    let x = x.to_contiguous();
    let (gamma, beta) = (gamma.to_contiguous(), beta.to_contiguous());
    let shape = x.layout().shape();
    let (channels, positions) = (shape[1], shape[2]);
    let (mean, variance) = statistics(x.storage(), channels, positions);
    let (scale, shift): (Vec<f32>, Vec<f32>) = (0..channels)
        .map(|channel| {
            let deviation = (f64::from(variance[channel]) + epsilon).sqrt();
            let scale = f64::from(gamma.storage::<f32>()[channel]) / deviation;
            let shift = f64::from(beta.storage::<f32>()[channel]);
            (
                scale as f32,
                (shift - f64::from(mean[channel]) * scale) as f32,
            )
        })
        .unzip();
    [
        scale_and_shift_rows(x, &scale, &shift, positions),
        tensor(mean, [channels]),
        tensor(variance, [channels]),
    ]
}

/// `x * scale + shift` of every channel of `[batch, channels, positions]`.
pub(super) fn scale_and_shift(x: FlexTensor, scale: &FlexTensor, shift: &FlexTensor) -> FlexTensor {
    let (scale, shift) = (scale.to_contiguous(), shift.to_contiguous());
    let positions = x.layout().shape()[2];
    scale_and_shift_rows(x, scale.storage(), shift.storage(), positions)
}

fn scale_and_shift_rows(
    x: FlexTensor,
    scale: &[f32],
    shift: &[f32],
    positions: usize,
) -> FlexTensor {
    let channels = scale.len();
    transform(
        x,
        positions,
        #[inline(always)]
        |start, chunk| {
            let first = start / positions;
            for (index, row) in chunk.chunks_exact_mut(positions).enumerate() {
                let channel = (first + index) % channels;
                for value in row {
                    *value = value.mul_add(scale[channel], shift[channel]);
                }
            }
        },
    )
}

/// Gradients of the input, `gamma` and `beta`.
pub(super) fn batch_norm_backward(
    x: FlexTensor,
    gamma: &FlexTensor,
    statistics: [FlexTensor; 2],
    grad: FlexTensor,
    epsilon: f64,
) -> [FlexTensor; 3] {
    let (x, grad) = (x.to_contiguous(), grad.to_contiguous());
    let gamma = gamma.to_contiguous();
    let [mean, variance] = statistics.map(|values| values.to_contiguous());
    let (mean, gamma) = (mean.storage::<f32>(), gamma.storage::<f32>());
    let shape = x.layout().shape();
    let (batch, channels, positions) = (shape[0], shape[1], shape[2]);
    let inverse: Vec<f32> = variance
        .storage::<f32>()
        .iter()
        .map(|&variance| (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32)
        .collect();

    let values: &[f32] = x.storage();
    let rows: Vec<(f32, f32)> = values
        .par_chunks(positions)
        .zip(grad.storage::<f32>().par_chunks(positions))
        .enumerate()
        .map(|(row, (x, grad))| {
            let mean = mean[row % channels];
            vectorised(
                #[inline(always)]
                || {
                    let [total, along] = sums(
                        [x, grad],
                        #[inline(always)]
                        |[x, grad]| [grad, (x - mean) * grad],
                    );
                    (total, along)
                },
            )
        })
        .collect();
    let total = |channel: usize, part: fn(&(f32, f32)) -> f32| -> f32 {
        rows.iter().skip(channel).step_by(channels).map(part).sum()
    };
    let grad_beta: Vec<f32> = (0..channels)
        .map(|channel| total(channel, |row| row.0))
        .collect();
    let grad_gamma: Vec<f32> = (0..channels)
        .map(|channel| total(channel, |row| row.1) * inverse[channel])
        .collect();

    let count = (batch * positions) as f32;
    let grad = transform(
        grad,
        positions,
        #[inline(always)]
        |start, chunk| {
            let first = start / positions;
            let sources = values[start..start + chunk.len()].chunks_exact(positions);
            let rows = chunk.chunks_exact_mut(positions).zip(sources);
            for (index, (row, x)) in rows.enumerate() {
                let channel = (first + index) % channels;
                // (grad - mean of grad - normalised * mean along normalised) * gamma / deviation, as a
                // combination of grad, x and 1.
                let scale = gamma[channel] * inverse[channel];
                let slope = -scale * inverse[channel] * grad_gamma[channel] / count;
                let shift = -scale * grad_beta[channel] / count - slope * mean[channel];
                for (value, &x) in row.iter_mut().zip(x) {
                    *value = value.mul_add(scale, x.mul_add(slope, shift));
                }
            }
        },
    );
    [
        grad,
        tensor(grad_gamma, [channels]),
        tensor(grad_beta, [channels]),
    ]
}

/// The sum over everything but the channels of `[outer, channels, inner]`.
pub(super) fn channel_sum(x: &FlexTensor) -> FlexTensor {
    let x = x.to_contiguous();
    let shape = x.layout().shape();
    let (outer, channels, inner) = (shape[0], shape[1], shape[2]);
    let values: &[f32] = x.storage();
    let share = outer.div_ceil(PARTS).max(1) * channels * inner;
    let parts: Vec<Vec<f32>> = values
        .par_chunks(share)
        .map(|part| {
            let mut totals = vec![0.0; channels];
            vectorised(
                #[inline(always)]
                || add_channels(part, &mut totals, inner),
            );
            totals
        })
        .collect();
    tensor(total(channels, &parts), [channels])
}

/// Adds the channels of `[outer, channels, inner]` to `totals`.
#[inline(always)]
fn add_channels(values: &[f32], totals: &mut [f32], inner: usize) {
    let channels = totals.len();
    for image in values.chunks_exact(channels * inner) {
        if inner == 1 {
            for (total, value) in totals.iter_mut().zip(image) {
                *total += value;
            }
        } else {
            for (total, row) in totals.iter_mut().zip(image.chunks_exact(inner)) {
                let [sum] = sums(
                    [row],
                    #[inline(always)]
                    |[value]| [value],
                );
                *total += sum;
            }
        }
    }
}

/// Normalises rows of `[rows, channels]`.
pub(super) fn layer_norm(
    x: FlexTensor,
    gamma: &FlexTensor,
    beta: &FlexTensor,
    epsilon: f64,
) -> FlexTensor {
    let (gamma, beta) = (gamma.to_contiguous(), beta.to_contiguous());
    let (gamma, beta): (&[f32], &[f32]) = (gamma.storage(), beta.storage());
    let channels = gamma.len();
    transform(
        x,
        channels,
        #[inline(always)]
        |_, chunk| {
            for row in chunk.chunks_exact_mut(channels) {
                let (mean, squares) = moments(row);
                let inverse = 1.0 / (squares / channels as f32 + epsilon as f32).sqrt();
                let affine = gamma.iter().zip(beta);
                for (value, (&gamma, &beta)) in row.iter_mut().zip(affine) {
                    *value = ((*value - mean) * inverse).mul_add(gamma, beta);
                }
            }
        },
    )
}

/// Most partial sums of a weight's gradient: enough for many threads, few enough to add up.
const PARTS: usize = 64;

/// Gradients of the rows, `gamma` and `beta`.
pub(super) fn layer_norm_backward(
    x: FlexTensor,
    gamma: &FlexTensor,
    grad: FlexTensor,
    epsilon: f64,
) -> [FlexTensor; 3] {
    let (x, mut grad) = (x.to_contiguous(), grad.to_contiguous());
    let gamma = gamma.to_contiguous();
    let gamma: &[f32] = gamma.storage();
    let channels = gamma.len();
    // In place where nobody else holds the gradient.
    let values: &[f32] = x.storage();
    let target: &mut [f32] = grad.storage_mut();
    let length = (values.len() / channels).div_ceil(PARTS).max(1) * channels;
    let parts: Vec<[Vec<f32>; 2]> = target
        .par_chunks_mut(length)
        .zip(values.par_chunks(length))
        .map(|(grad, x)| {
            let mut sums = [vec![0.0; channels], vec![0.0; channels]];
            vectorised(
                #[inline(always)]
                || {
                    let rows = grad
                        .chunks_exact_mut(channels)
                        .zip(x.chunks_exact(channels));
                    for (grad, x) in rows {
                        layer_norm_row(grad, x, gamma, epsilon as f32, &mut sums);
                    }
                },
            );
            sums
        })
        .collect();
    let total = |which: usize| {
        let sums = parts.iter().map(|part| &part[which]);
        tensor(total(channels, sums), [channels])
    };
    [grad, total(0), total(1)]
}

/// Turns the gradient of a normalised row into that of the row; adds to those of gamma and beta.
#[inline(always)]
fn layer_norm_row(
    grad: &mut [f32],
    x: &[f32],
    gamma: &[f32],
    epsilon: f32,
    [grad_gamma, grad_beta]: &mut [Vec<f32>; 2],
) {
    let channels = gamma.len();
    let (x, grad) = (&x[..channels], &mut grad[..channels]);
    let (mean, squares) = moments(x);
    let inverse = 1.0 / (squares / channels as f32 + epsilon).sqrt();
    let [inner, along] = sums(
        [grad, gamma, x],
        #[inline(always)]
        |[grad, gamma, x]| [grad * gamma, grad * gamma * (x - mean)],
    );
    let inner_mean = inner / channels as f32;
    let along = along * inverse / channels as f32;
    let (grad_gamma, grad_beta) = (&mut grad_gamma[..channels], &mut grad_beta[..channels]);
    for index in 0..channels {
        let normalised = (x[index] - mean) * inverse;
        grad_gamma[index] = grad[index].mul_add(normalised, grad_gamma[index]);
        grad_beta[index] += grad[index];
        let inner = grad[index] * gamma[index];
        grad[index] = (inner - inner_mean - normalised * along) * inverse;
    }
}
