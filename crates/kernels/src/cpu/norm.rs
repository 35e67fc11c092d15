//! Layer norm, batch norm and LayerScale.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::storage::{Elements, Written, map, map_parts, tensor};
use super::vector::{sum, total, vectorised};

/// Mean and sum of squared deviations of a row.
#[inline(always)]
fn moments(row: &[f32]) -> (f32, f32) {
    let total = sum(
        [row],
        #[inline(always)]
        |[value]| value,
    );
    let mean = total / row.len() as f32;
    let squares = sum(
        [row],
        #[inline(always)]
        |[value]| (value - mean) * (value - mean),
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
    map(
        x,
        positions,
        #[inline(always)]
        |start, elements| {
            let first = start / positions;
            elements.rows(
                positions,
                #[inline(always)]
                |index, row| {
                    let channel = (first + index) % channels;
                    let (scale, shift) = (scale[channel], shift[channel]);
                    row.replace(
                        #[inline(always)]
                        |value| value.mul_add(scale, shift),
                    )
                },
            )
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
                    let total = sum(
                        [grad],
                        #[inline(always)]
                        |[grad]| grad,
                    );
                    let along = sum(
                        [x, grad],
                        #[inline(always)]
                        |[x, grad]| (x - mean) * grad,
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
    let grad = map(
        grad,
        positions,
        #[inline(always)]
        |start, elements| {
            let first = start / positions;
            elements.rows(
                positions,
                #[inline(always)]
                |index, row| {
                    let channel = (first + index) % channels;
                    // (grad - mean of grad - normalised * mean along normalised) * gamma / deviation,
                    // as a combination of grad, x and 1.
                    let scale = gamma[channel] * inverse[channel];
                    let slope = -scale * inverse[channel] * grad_gamma[channel] / count;
                    let shift = -scale * grad_beta[channel] / count - slope * mean[channel];
                    row.replace_with(
                        [&values[start + index * positions..]],
                        #[inline(always)]
                        |grad, [x]| grad.mul_add(scale, x.mul_add(slope, shift)),
                    )
                },
            )
        },
    );
    [
        grad,
        tensor(grad_gamma, [channels]),
        tensor(grad_beta, [channels]),
    ]
}

/// The sum of `[outer, channels, inner]` over all axes but the channels.
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
                *total += sum(
                    [row],
                    #[inline(always)]
                    |[value]| value,
                );
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
    map(
        x,
        channels,
        #[inline(always)]
        |_, elements| {
            elements.rows(
                channels,
                #[inline(always)]
                |_, row| {
                    let (mean, squares) = moments(row.values());
                    let inverse = 1.0 / (squares / channels as f32 + epsilon as f32).sqrt();
                    row.replace_with(
                        [gamma, beta],
                        #[inline(always)]
                        |value, [gamma, beta]| ((value - mean) * inverse).mul_add(gamma, beta),
                    )
                },
            )
        },
    )
}

/// Scales the channels of `[rows, channels]`.
pub(super) fn layer_scale(x: FlexTensor, gamma: &FlexTensor) -> FlexTensor {
    let gamma = gamma.to_contiguous();
    let gamma: &[f32] = gamma.storage();
    let channels = gamma.len();
    map(
        x,
        channels,
        #[inline(always)]
        |_, elements| {
            elements.rows(
                channels,
                #[inline(always)]
                |_, row| {
                    row.replace_with(
                        [gamma],
                        #[inline(always)]
                        |value, [gamma]| value * gamma,
                    )
                },
            )
        },
    )
}

/// Maximum number of partial sums of a weight's gradient: enough for many threads, few enough to add up.
const PARTS: usize = 64;

/// Gradients of the rows, `gamma` and `beta`.
pub(super) fn layer_norm_backward(
    x: FlexTensor,
    gamma: &FlexTensor,
    grad: FlexTensor,
    epsilon: f64,
) -> [FlexTensor; 3] {
    let (x, gamma) = (x.to_contiguous(), gamma.to_contiguous());
    let (values, gamma): (&[f32], &[f32]) = (x.storage(), gamma.storage());
    let channels = gamma.len();
    let length = (values.len() / channels).div_ceil(PARTS).max(1) * channels;
    let (grad, parts) = map_parts(
        grad,
        length,
        #[inline(always)]
        |start, grad| {
            let mut sums = [vec![0.0; channels], vec![0.0; channels]];
            let written = grad.rows(
                channels,
                #[inline(always)]
                |row, grad| {
                    let x = &values[start + row * channels..][..channels];
                    layer_norm_row(grad, x, gamma, epsilon as f32, &mut sums)
                },
            );
            (written, sums)
        },
    );
    let total = |which: usize| {
        let sums = parts.iter().map(|part| &part[which]);
        tensor(total(channels, sums), [channels])
    };
    [grad, total(0), total(1)]
}

/// Turns the gradient of a normalised row into the gradient of the row, and adds to the gradients of gamma and beta.
#[inline(always)]
fn layer_norm_row(
    grad: Elements<'_>,
    x: &[f32],
    gamma: &[f32],
    epsilon: f32,
    [grad_gamma, grad_beta]: &mut [Vec<f32>; 2],
) -> Written {
    let channels = gamma.len();
    let (mean, squares) = moments(x);
    let inverse = 1.0 / (squares / channels as f32 + epsilon).sqrt();
    let values = &grad.values()[..channels];
    let inner = sum(
        [values, gamma],
        #[inline(always)]
        |[grad, gamma]| grad * gamma,
    );
    let along = sum(
        [values, gamma, x],
        #[inline(always)]
        |[grad, gamma, x]| grad * gamma * (x - mean),
    );
    let inner_mean = inner / channels as f32;
    let along = along * inverse / channels as f32;
    let (grad_gamma, grad_beta) = (&mut grad_gamma[..channels], &mut grad_beta[..channels]);
    let shift = -mean * inverse;
    for index in 0..channels {
        let normalised = x[index].mul_add(inverse, shift);
        grad_gamma[index] = values[index].mul_add(normalised, grad_gamma[index]);
        grad_beta[index] += values[index];
    }
    // (grad gamma - its mean - normalised * its mean along normalised) / deviation, as a combination
    // of grad gamma, x and 1.
    let slope = -along * inverse * inverse;
    let shift = -inner_mean * inverse - slope * mean;
    grad.replace_with(
        [x, gamma],
        #[inline(always)]
        |grad, [x, gamma]| grad.mul_add(gamma * inverse, x.mul_add(slope, shift)),
    )
}
