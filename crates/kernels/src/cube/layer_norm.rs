//! Layer normalisation, one cube per row.

use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{cubes, dense, empty, with_type_of};
use super::rows::cube_sum;

/// Number of rows that one cube adds up for `gamma` and `beta`.
const ROWS: usize = 64;

/// Number of units for a row: a power of two, with none idle if the row is long.
fn units(channels: usize) -> u32 {
    (channels.next_power_of_two() as u32 / 4).clamp(32, 256)
}

#[cube(launch_unchecked)]
fn forward_kernel<F: Float>(
    x: &Array<F>,
    gamma: &Array<F>,
    beta: &Array<F>,
    output: &mut Array<F>,
    epsilon: f32,
    #[comptime] units: u32,
    #[comptime] each: u32,
) {
    let channels = gamma.len();
    let row = CUBE_POS;
    if row * channels >= output.len() {
        terminate!();
    }
    let mut shared = SharedMemory::<f32>::new(comptime!(units as usize));
    let mut kept = Array::<f32>::new(comptime!(each as usize));
    let mut sum = 0.0f32;
    #[unroll]
    for step in 0..each {
        let channel = (step * units + UNIT_POS) as usize;
        let mut value = 0.0f32;
        if channel < channels {
            value = f32::cast_from(x[row * channels + channel]);
        }
        kept[step as usize] = value;
        sum += value;
    }
    let mean = cube_sum(sum, &mut shared, units) / channels as f32;
    let mut squares = 0.0f32;
    #[unroll]
    for step in 0..each {
        let channel = (step * units + UNIT_POS) as usize;
        if channel < channels {
            let centred = kept[step as usize] - mean;
            squares += centred * centred;
        }
    }
    let variance = cube_sum(squares, &mut shared, units) / channels as f32;
    let scale = 1.0 / (variance + epsilon).sqrt();
    #[unroll]
    for step in 0..each {
        let channel = (step * units + UNIT_POS) as usize;
        if channel < channels {
            let normalised = (kept[step as usize] - mean) * scale;
            let gamma = f32::cast_from(gamma[channel]);
            let beta = f32::cast_from(beta[channel]);
            output[row * channels + channel] = F::cast_from(normalised * gamma + beta);
        }
    }
}

/// The gradient of a row, and its mean and scale for the sums over rows.
#[cube(launch_unchecked)]
fn backward_kernel(
    x: &Array<f32>,
    gamma: &Array<f32>,
    grad: &Array<f32>,
    output: &mut Array<f32>,
    statistics: &mut Array<f32>,
    epsilon: f32,
    #[comptime] units: u32,
    #[comptime] each: u32,
) {
    let channels = gamma.len();
    let row = CUBE_POS;
    if row * channels >= output.len() {
        terminate!();
    }
    let mut shared = SharedMemory::<f32>::new(comptime!(units as usize));
    let mut kept = Array::<f32>::new(comptime!(each as usize));
    let mut scaled = Array::<f32>::new(comptime!(each as usize));
    let mut sum = 0.0f32;
    #[unroll]
    for step in 0..each {
        let channel = (step * units + UNIT_POS) as usize;
        let mut value = 0.0f32;
        let mut inner = 0.0f32;
        if channel < channels {
            value = x[row * channels + channel];
            inner = grad[row * channels + channel] * gamma[channel];
        }
        kept[step as usize] = value;
        scaled[step as usize] = inner;
        sum += value;
    }
    let mean = cube_sum(sum, &mut shared, units) / channels as f32;
    let mut squares = 0.0f32;
    #[unroll]
    for step in 0..each {
        let channel = (step * units + UNIT_POS) as usize;
        if channel < channels {
            let centred = kept[step as usize] - mean;
            squares += centred * centred;
        }
    }
    let variance = cube_sum(squares, &mut shared, units) / channels as f32;
    let scale = 1.0 / (variance + epsilon).sqrt();
    let mut inners = 0.0f32;
    let mut along = 0.0f32;
    #[unroll]
    for step in 0..each {
        let inner = scaled[step as usize];
        inners += inner;
        // Where there is no channel, `inner` is zero.
        along += inner * (kept[step as usize] - mean) * scale;
    }
    let inner_mean = cube_sum(inners, &mut shared, units) / channels as f32;
    let along_mean = cube_sum(along, &mut shared, units) / channels as f32;
    #[unroll]
    for step in 0..each {
        let channel = (step * units + UNIT_POS) as usize;
        if channel < channels {
            let normalised = (kept[step as usize] - mean) * scale;
            output[row * channels + channel] =
                (scaled[step as usize] - inner_mean - normalised * along_mean) * scale;
        }
    }
    if UNIT_POS == 0 {
        statistics[2 * row] = mean;
        statistics[2 * row + 1] = scale;
    }
}

/// Sums of `grad * normalised` and `grad` over some rows, one unit per channel.
#[cube(launch_unchecked)]
fn sums_kernel(
    x: &Array<f32>,
    grad: &Array<f32>,
    statistics: &Array<f32>,
    sums: &mut Array<f32>,
    rows: usize,
    channels: usize,
    #[comptime] each: u32,
) {
    let channel = ABSOLUTE_POS % channels;
    let part = ABSOLUTE_POS / channels;
    let parts = sums.len() / (2 * channels);
    if part >= parts {
        terminate!();
    }
    let mut gamma = 0.0f32;
    let mut beta = 0.0f32;
    for step in 0..each {
        let row = part * (each as usize) + step as usize;
        if row < rows {
            let value = grad[row * channels + channel];
            let centred = x[row * channels + channel] - statistics[2 * row];
            gamma += value * centred * statistics[2 * row + 1];
            beta += value;
        }
    }
    sums[part * channels + channel] = gamma;
    sums[(parts + part) * channels + channel] = beta;
}

pub(super) fn forward<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    beta: CubeTensor<R>,
    epsilon: f64,
) -> CubeTensor<R> {
    let (x, gamma, beta) = (dense(x), dense(gamma), dense(beta));
    let [rows, channels] = [x.meta.shape()[0], x.meta.shape()[1]];
    let output = empty(&x, [rows, channels]);
    let units = units(channels);
    // SAFETY: a cube reads and writes its own row, which it checks to exist.
    with_type_of!(x, F => unsafe {
        forward_kernel::launch_unchecked::<F, R>(
            &x.client.clone(),
            cubes(&x.client, rows),
            CubeDim::new_1d(units),
            x.into_array_arg(),
            gamma.into_array_arg(),
            beta.into_array_arg(),
            output.clone().into_array_arg(),
            epsilon as f32,
            units,
            channels.div_ceil(units as usize) as u32,
        );
    });
    output
}

/// The gradient of the rows, and sums over parts of them, `[2, parts, channels]`, whose sums over the
/// parts are the gradients of `gamma` and `beta`.
pub(super) fn backward<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    grad: CubeTensor<R>,
    epsilon: f64,
) -> (CubeTensor<R>, CubeTensor<R>) {
    let (x, gamma, grad) = (dense(x), dense(gamma), dense(grad));
    let [rows, channels] = [x.meta.shape()[0], x.meta.shape()[1]];
    let output = empty(&x, [rows, channels]);
    let statistics = empty(&x, [rows, 2]);
    let parts = rows.div_ceil(ROWS);
    let sums = empty(&x, [2, parts, channels]);
    let units = units(channels);
    let client = x.client.clone();
    // SAFETY: as in `forward`; the sums' units check their places.
    unsafe {
        backward_kernel::launch_unchecked(
            &client,
            cubes(&client, rows),
            CubeDim::new_1d(units),
            x.clone().into_array_arg(),
            gamma.into_array_arg(),
            grad.clone().into_array_arg(),
            output.clone().into_array_arg(),
            statistics.clone().into_array_arg(),
            epsilon as f32,
            units,
            channels.div_ceil(units as usize) as u32,
        );
        let (count, dim) = super::launch::elementwise(&client, parts * channels);
        sums_kernel::launch_unchecked(
            &client,
            count,
            dim,
            x.into_array_arg(),
            grad.into_array_arg(),
            statistics.into_array_arg(),
            sums.clone().into_array_arg(),
            rows,
            channels,
            ROWS as u32,
        );
    }
    (output, sums)
}
