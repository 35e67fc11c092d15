//! AdamW in place, and sums of squares, one launch for every parameter.

use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{cubes, dense, elementwise, empty};
use super::rows::cube_sum;
use crate::adamw::AdamWStep;

/// Units of a cube that adds up, and the most cubes for one tensor.
const UNITS: u32 = 256;
const CUBES: usize = 64;

#[cube(launch_unchecked)]
fn step_kernel(
    parameter: &mut Array<f32>,
    gradient: &Array<f32>,
    first: &mut Array<f32>,
    second: &mut Array<f32>,
    kept: f32,
    rate: f32,
    beta_1: f32,
    beta_2: f32,
    root_correction: f32,
    epsilon: f32,
) {
    if ABSOLUTE_POS >= parameter.len() {
        terminate!();
    }
    let slope = gradient[ABSOLUTE_POS];
    let mean = beta_1 * first[ABSOLUTE_POS] + (1.0 - beta_1) * slope;
    let square = beta_2 * second[ABSOLUTE_POS] + (1.0 - beta_2) * slope * slope;
    first[ABSOLUTE_POS] = mean;
    second[ABSOLUTE_POS] = square;
    let deviation = square.sqrt() * root_correction + epsilon;
    parameter[ABSOLUTE_POS] = kept * parameter[ABSOLUTE_POS] - rate * mean / deviation;
}

/// Writes a number for each of its cubes, from `offset` on.
#[cube(launch_unchecked)]
fn squares_kernel(x: &Array<f32>, sums: &mut Array<f32>, offset: usize, parts: usize) {
    if CUBE_POS >= parts {
        terminate!();
    }
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let mut sum = 0.0f32;
    let mut index = CUBE_POS * comptime!(UNITS as usize) + UNIT_POS as usize;
    while index < x.len() {
        let value = x[index];
        sum += value * value;
        index += parts * comptime!(UNITS as usize);
    }
    let total = cube_sum(sum, &mut shared, UNITS);
    if UNIT_POS == 0 {
        sums[offset + CUBE_POS] = total;
    }
}

/// A tensor that nobody else sees.
fn owned<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    let x = dense(x);
    if x.can_mut() { x } else { x.copy() }
}

pub(super) fn step<R: CubeRuntime>(
    parameter: CubeTensor<R>,
    gradient: CubeTensor<R>,
    moments: [CubeTensor<R>; 2],
    step: AdamWStep,
) -> (CubeTensor<R>, [CubeTensor<R>; 2]) {
    let (parameter, gradient) = (owned(parameter), dense(gradient));
    let [first, second] = moments.map(owned);
    let [correction_1, correction_2] = step.corrections();
    let (count, dim) = elementwise(&parameter.client, parameter.meta.num_elements());
    // SAFETY: a unit has its own place of four arrays of one length, three of which are nobody else's.
    unsafe {
        step_kernel::launch_unchecked(
            &parameter.client.clone(),
            count,
            dim,
            parameter.clone().into_array_arg(),
            gradient.into_array_arg(),
            first.clone().into_array_arg(),
            second.clone().into_array_arg(),
            1.0 - step.rate * step.weight_decay,
            step.rate / correction_1,
            step.betas[0],
            step.betas[1],
            correction_2.sqrt().recip(),
            step.epsilon,
        );
    }
    (parameter, [first, second])
}

/// Sums of squares of parts of all tensors, of which there is one, `[parts]`.
pub(super) fn squares<R: CubeRuntime>(tensors: Vec<CubeTensor<R>>) -> CubeTensor<R> {
    let parts = |x: &CubeTensor<R>| {
        x.meta
            .num_elements()
            .div_ceil(4 * UNITS as usize)
            .min(CUBES)
    };
    let total: usize = tensors.iter().map(parts).sum();
    let sums = empty(&tensors[0], [total]);
    let mut offset = 0;
    for x in tensors {
        let parts = parts(&x);
        let x = dense(x);
        // SAFETY: a cube writes its own place of the sums, which it checks.
        unsafe {
            squares_kernel::launch_unchecked(
                &x.client.clone(),
                cubes(&x.client, parts),
                CubeDim::new_1d(UNITS),
                x.into_array_arg(),
                sums.clone().into_array_arg(),
                offset,
                parts,
            );
        }
        offset += parts;
    }
    sums
}
