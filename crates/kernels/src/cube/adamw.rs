//! AdamW in place, and sums of squares, with one launch for many tensors: a highway has hundreds of small ones.

use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{cubes, dense, empty};
use super::rows::cube_sum;
use crate::KernelBackend;
use crate::adamw::{AdamWStep, AdamWTensors};

/// Number of units of a cube.
const UNITS: u32 = 256;
/// Maximum number of cubes that add up the squares of one tensor.
const PARTS: usize = 64;
/// Numbers of tensors of a launch, the largest first. Each number is one more kernel to compile.
const LAUNCHES: [usize; 3] = [16, 4, 1];

/// One AdamW step. Every tensor has its own cubes, one after another.
#[cube(launch_unchecked)]
fn step_kernel(
    parameters: &mut Sequence<Array<f32>>,
    gradients: &Sequence<Array<f32>>,
    firsts: &mut Sequence<Array<f32>>,
    seconds: &mut Sequence<Array<f32>>,
    kept: f32,
    rate: f32,
    beta_1: f32,
    beta_2: f32,
    root_correction: f32,
    epsilon: f32,
    #[comptime] tensors: usize,
) {
    let units = comptime!(UNITS as usize);
    let mut begin = 0usize;
    #[unroll]
    for index in 0..tensors {
        let gradient = &gradients[index];
        let count = gradient.len();
        let end = begin + count.div_ceil(units);
        if CUBE_POS >= begin && CUBE_POS < end {
            let place = (CUBE_POS - begin) * units + UNIT_POS as usize;
            if place < count {
                let slope = gradient[place];
                let parameter = parameters.index_mut(index);
                let first = firsts.index_mut(index);
                let second = seconds.index_mut(index);
                let mean = beta_1 * first[place] + (1.0 - beta_1) * slope;
                let square = beta_2 * second[place] + (1.0 - beta_2) * slope * slope;
                first[place] = mean;
                second[place] = square;
                let deviation = square.sqrt() * root_correction + epsilon;
                parameter[place] = kept * parameter[place] - rate * mean / deviation;
            }
        }
        begin = end;
    }
}

/// Sums of squares. Every tensor has [`parts`] cubes, each of which writes a sum, from `offset` on.
#[cube(launch_unchecked)]
fn squares_kernel(
    all: &Sequence<Array<f32>>,
    parts: Sequence<usize>,
    sums: &mut Array<f32>,
    offset: usize,
    #[comptime] tensors: usize,
) {
    let units = comptime!(UNITS as usize);
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let mut sum = 0.0f32;
    let mut begin = 0usize;
    #[unroll]
    for index in 0..tensors {
        let x = &all[index];
        let parts = parts[index];
        if CUBE_POS >= begin && CUBE_POS < begin + parts {
            let mut place = (CUBE_POS - begin) * units + UNIT_POS as usize;
            while place < x.len() {
                let value = x[place];
                sum += value * value;
                place += parts * units;
            }
        }
        begin += parts;
    }
    if CUBE_POS < begin {
        let total = cube_sum(sum, &mut shared, UNITS);
        if UNIT_POS == 0 {
            sums[offset + CUBE_POS] = total;
        }
    }
}

/// A tensor that nothing else holds.
fn owned<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    let x = dense(x);
    if x.can_mut() { x } else { x.copy() }
}

/// Tensors that a step may write to in place.
pub(super) fn in_place<B: KernelBackend<FloatTensorPrimitive = CubeTensor<R>>, R: CubeRuntime>(
    tensors: AdamWTensors<B>,
) -> AdamWTensors<B> {
    AdamWTensors {
        parameter: owned(tensors.parameter),
        gradient: dense(tensors.gradient),
        moments: tensors.moments.map(owned),
    }
}

/// Splits tensors into launches, given the number of bindings of a tensor.
fn launches<'a, T, R: CubeRuntime>(
    client: &ComputeClient<R>,
    bindings: usize,
    tensors: &'a [T],
) -> impl Iterator<Item = &'a [T]> + use<'a, T, R> {
    // One is for the sums, one for what CubeCL tells a kernel.
    let most = (client.properties().hardware.max_bindings as usize).saturating_sub(2) / bindings;
    let mut rest = tensors;
    std::iter::from_fn(move || {
        let fits = |count: &usize| *count <= rest.len() && *count <= most.max(1);
        let (some, others) = rest.split_at(LAUNCHES.into_iter().find(fits)?);
        rest = others;
        Some(some)
    })
}

/// Runs the steps in place.
pub(super) fn send<B: KernelBackend<FloatTensorPrimitive = CubeTensor<R>>, R: CubeRuntime>(
    unsent: Vec<(AdamWTensors<B>, AdamWStep)>,
) {
    for alike in unsent.chunk_by(|a, b| a.1 == b.1) {
        let (first, step) = &alike[0];
        let client = first.parameter.client.clone();
        let [correction_1, correction_2] = step.corrections();
        for some in launches(&client, 4, alike) {
            let all = |get: fn(&AdamWTensors<B>) -> &CubeTensor<R>| {
                some.iter()
                    .map(|(tensors, _)| get(tensors).clone().into_array_arg())
                    .collect()
            };
            let count = |(tensors, _): &(AdamWTensors<B>, AdamWStep)| {
                tensors
                    .gradient
                    .meta
                    .num_elements()
                    .div_ceil(UNITS as usize)
            };
            // SAFETY: a unit has at most one place of four arrays of one length, which it checks; three of them
            // are not shared.
            unsafe {
                step_kernel::launch_unchecked(
                    &client,
                    cubes(&client, some.iter().map(count).sum()),
                    CubeDim::new_1d(UNITS),
                    all(|tensors| &tensors.parameter),
                    all(|tensors| &tensors.gradient),
                    all(|tensors| &tensors.moments[0]),
                    all(|tensors| &tensors.moments[1]),
                    1.0 - step.rate * step.weight_decay,
                    step.rate / correction_1,
                    step.betas[0],
                    step.betas[1],
                    correction_2.sqrt().recip(),
                    step.epsilon,
                    some.len(),
                );
            }
        }
    }
}

/// Number of cubes that add up the squares of a tensor.
fn parts<R: CubeRuntime>(x: &CubeTensor<R>) -> usize {
    let parts = x.meta.num_elements().div_ceil(4 * UNITS as usize);
    parts.min(PARTS)
}

/// Sums of squares over parts of all tensors, `[parts]`. There is at least one tensor.
pub(super) fn squares<R: CubeRuntime>(tensors: Vec<CubeTensor<R>>) -> CubeTensor<R> {
    let tensors: Vec<_> = tensors.into_iter().map(dense).collect();
    let sums = empty(&tensors[0], [tensors.iter().map(parts).sum::<usize>()]);
    let client = sums.client.clone();
    let mut offset = 0;
    for some in launches(&client, 1, &tensors) {
        let count = some.iter().map(parts).sum();
        // SAFETY: a cube writes its own place of the sums, which it checks.
        unsafe {
            squares_kernel::launch_unchecked(
                &client,
                cubes(&client, count),
                CubeDim::new_1d(UNITS),
                some.iter().map(|x| x.clone().into_array_arg()).collect(),
                some.iter().map(parts).collect(),
                sums.clone().into_array_arg(),
                offset,
                some.len(),
            );
        }
        offset += count;
    }
    sums
}
