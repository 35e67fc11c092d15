//! Reductions over the channels of all images: bias gradients and batch normalisation.

use burn::tensor::TensorMetadata;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{cubes, dense, elementwise, empty};
use super::rows::cube_sum;

const UNITS: u32 = 256;

/// Number of rows that one unit adds up if channels are last.
const ROWS: usize = 64;

/// Sums of `[outer, channels, 1]` over parts of the rows, one unit per channel.
#[cube(launch_unchecked)]
fn columns_kernel(
    x: &Array<f32>,
    sums: &mut Array<f32>,
    rows: usize,
    channels: usize,
    #[comptime] each: u32,
) {
    if ABSOLUTE_POS >= sums.len() {
        terminate!();
    }
    let channel = ABSOLUTE_POS % channels;
    let part = ABSOLUTE_POS / channels;
    let mut sum = 0.0f32;
    for step in 0..each {
        let row = part * comptime!(each as usize) + step as usize;
        if row < rows {
            sum += x[row * channels + channel];
        }
    }
    sums[ABSOLUTE_POS] = sum;
}

/// Sums of `[outer, channels, inner]` over the inner axis, one cube per row.
#[cube(launch_unchecked)]
fn rows_kernel(x: &Array<f32>, sums: &mut Array<f32>, inner: usize) {
    if CUBE_POS >= sums.len() {
        terminate!();
    }
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let mut sum = 0.0f32;
    let mut index = UNIT_POS as usize;
    while index < inner {
        sum += x[CUBE_POS * inner + index];
        index += comptime!(UNITS as usize);
    }
    let total = cube_sum(sum, &mut shared, UNITS);
    if UNIT_POS == 0 {
        sums[CUBE_POS] = total;
    }
}

/// Sums of `[outer, channels, inner]` over parts of all axes but the channels, `[parts, channels]`.
pub(super) fn sums<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    let x = dense(x);
    let [outer, channels, inner] = x.shape().dims();
    let client = x.client.clone();
    let parts = if inner == 1 {
        outer.div_ceil(ROWS)
    } else {
        outer
    };
    let sums = empty(&x, [parts, channels]);
    // SAFETY: every unit or cube writes its own sum, which it checks.
    unsafe {
        if inner == 1 {
            let (count, dim) = elementwise(&client, parts * channels);
            columns_kernel::launch_unchecked(
                &client,
                count,
                dim,
                x.into_array_arg(),
                sums.clone().into_array_arg(),
                outer,
                channels,
                ROWS as u32,
            );
        } else {
            rows_kernel::launch_unchecked(
                &client,
                cubes(&client, parts * channels),
                CubeDim::new_1d(UNITS),
                x.into_array_arg(),
                sums.clone().into_array_arg(),
                inner,
            );
        }
    }
    sums
}

/// Normalises a channel of all images, one cube per channel.
#[cube(launch_unchecked)]
fn normalise_kernel(
    x: &Array<f32>,
    gamma: &Array<f32>,
    beta: &Array<f32>,
    output: &mut Array<f32>,
    means: &mut Array<f32>,
    variances: &mut Array<f32>,
    positions: usize,
    epsilon: f32,
) {
    let channels = gamma.len();
    let channel = CUBE_POS;
    if channel >= channels {
        terminate!();
    }
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let count = x.len() / channels;
    let mut sum = 0.0f32;
    let mut index = UNIT_POS as usize;
    while index < count {
        sum += x[place(index, channel, channels, positions)];
        index += comptime!(UNITS as usize);
    }
    let mean = cube_sum(sum, &mut shared, UNITS) / count as f32;
    let mut squares = 0.0f32;
    let mut index = UNIT_POS as usize;
    while index < count {
        let centred = x[place(index, channel, channels, positions)] - mean;
        squares += centred * centred;
        index += comptime!(UNITS as usize);
    }
    let variance = cube_sum(squares, &mut shared, UNITS) / count as f32;
    let scale = gamma[channel] / (variance + epsilon).sqrt();
    let shift = beta[channel];
    let mut index = UNIT_POS as usize;
    while index < count {
        let at = place(index, channel, channels, positions);
        output[at] = (x[at] - mean) * scale + shift;
        index += comptime!(UNITS as usize);
    }
    if UNIT_POS == 0 {
        means[channel] = mean;
        variances[channel] = variance;
    }
}

/// The offset of the `index`-th value of a channel over all images.
#[cube]
fn place(index: usize, channel: usize, channels: usize, positions: usize) -> usize {
    ((index / positions) * channels + channel) * positions + index % positions
}

#[cube(launch_unchecked)]
fn normalise_backward_kernel(
    x: &Array<f32>,
    gamma: &Array<f32>,
    means: &Array<f32>,
    variances: &Array<f32>,
    grad: &Array<f32>,
    output: &mut Array<f32>,
    grad_gamma: &mut Array<f32>,
    grad_beta: &mut Array<f32>,
    positions: usize,
    epsilon: f32,
) {
    let channels = gamma.len();
    let channel = CUBE_POS;
    if channel >= channels {
        terminate!();
    }
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let count = x.len() / channels;
    let mean = means[channel];
    let scale = 1.0 / (variances[channel] + epsilon).sqrt();
    let mut sum = 0.0f32;
    let mut along = 0.0f32;
    let mut index = UNIT_POS as usize;
    while index < count {
        let at = place(index, channel, channels, positions);
        let slope = grad[at];
        sum += slope;
        along += slope * (x[at] - mean) * scale;
        index += comptime!(UNITS as usize);
    }
    let sum = cube_sum(sum, &mut shared, UNITS);
    let along = cube_sum(along, &mut shared, UNITS);
    let (sum_mean, along_mean) = (sum / count as f32, along / count as f32);
    let factor = gamma[channel] * scale;
    let mut index = UNIT_POS as usize;
    while index < count {
        let at = place(index, channel, channels, positions);
        output[at] = (grad[at] - sum_mean - (x[at] - mean) * scale * along_mean) * factor;
        index += comptime!(UNITS as usize);
    }
    if UNIT_POS == 0 {
        grad_gamma[channel] = along;
        grad_beta[channel] = sum;
    }
}

/// The normalised `[batch, channels, positions]`, and the means and biased variances.
pub(super) fn normalise<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    beta: CubeTensor<R>,
    epsilon: f64,
) -> [CubeTensor<R>; 3] {
    let (x, gamma, beta) = (dense(x), dense(gamma), dense(beta));
    let shape = x.meta.shape().clone();
    let (channels, positions) = (shape[1], shape[2]);
    let [mean, variance] = [0, 1].map(|_| empty(&x, [channels]));
    let output = empty(&x, shape);
    // SAFETY: a cube reads and writes its own channel, which it checks.
    unsafe {
        normalise_kernel::launch_unchecked(
            &x.client.clone(),
            cubes(&x.client, channels),
            CubeDim::new_1d(UNITS),
            x.into_array_arg(),
            gamma.into_array_arg(),
            beta.into_array_arg(),
            output.clone().into_array_arg(),
            mean.clone().into_array_arg(),
            variance.clone().into_array_arg(),
            positions,
            epsilon as f32,
        );
    }
    [output, mean, variance]
}

/// Gradients of the input, `gamma` and `beta`.
pub(super) fn normalise_backward<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    statistics: [CubeTensor<R>; 2],
    grad: CubeTensor<R>,
    epsilon: f64,
) -> [CubeTensor<R>; 3] {
    let (x, gamma, grad) = (dense(x), dense(gamma), dense(grad));
    let [mean, variance] = statistics.map(dense);
    let shape = x.meta.shape().clone();
    let (channels, positions) = (shape[1], shape[2]);
    let [grad_gamma, grad_beta] = [0, 1].map(|_| empty(&x, [channels]));
    let output = empty(&x, shape);
    // SAFETY: as in `normalise`.
    unsafe {
        normalise_backward_kernel::launch_unchecked(
            &x.client.clone(),
            cubes(&x.client, channels),
            CubeDim::new_1d(UNITS),
            x.into_array_arg(),
            gamma.into_array_arg(),
            mean.into_array_arg(),
            variance.into_array_arg(),
            grad.into_array_arg(),
            output.clone().into_array_arg(),
            grad_gamma.clone().into_array_arg(),
            grad_beta.clone().into_array_arg(),
            positions,
            epsilon as f32,
        );
    }
    [output, grad_gamma, grad_beta]
}
