//! Focal loss, one unit per logit.

use burn::tensor::TensorMetadata;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{cubes, dense, elementwise, empty};
use super::rows::cube_sum;
use crate::focal_loss::{FocalLoss, NOT_COUNTED};

/// Number of units of a cube, and of logits of each, for the sum.
const UNITS: u32 = 256;
const EACH: usize = 16;

/// The sign and the weight of a logit: the sign is positive where the class is absent and negative where it is
/// present.
#[cube]
fn sign_and_weight(label: i32, class: usize, alpha: f32) -> (f32, f32) {
    let mut sign = 1.0f32;
    let mut weight = 1.0 - alpha;
    if label == class as i32 {
        sign = -1.0f32;
        weight = alpha;
    }
    if label == comptime!(NOT_COUNTED) {
        weight = 0.0f32;
    }
    (sign, weight)
}

/// `sigmoid(s)` and `log(1 + exp(s))`.
#[cube]
fn sigmoid_and_softplus(s: f32) -> (f32, f32) {
    let small = (-s.abs()).exp();
    let more = 1.0 / (1.0 + small);
    let sigmoid = select(s > 0.0, more, 1.0 - more);
    (sigmoid, max(s, 0.0) + small.log1p())
}

/// Sums over parts of all logits.
#[cube(launch_unchecked)]
fn forward_kernel(
    logits: &Array<f32>,
    labels: &Array<i32>,
    sums: &mut Array<f32>,
    classes: usize,
    positions: usize,
    alpha: f32,
    gamma: f32,
) {
    if CUBE_POS >= sums.len() {
        terminate!();
    }
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let mut sum = 0.0f32;
    let first = CUBE_POS * comptime!(UNITS as usize * EACH) + UNIT_POS as usize;
    for step in 0..comptime!(EACH) {
        let place = first + step * comptime!(UNITS as usize);
        if place < logits.len() {
            let label = labels[place / positions / classes * positions + place % positions];
            let (sign, weight) = sign_and_weight(label, place / positions % classes, alpha);
            let (sigmoid, softplus) = sigmoid_and_softplus(logits[place] * sign);
            sum += weight * sigmoid.powf(gamma) * softplus;
        }
    }
    let total = cube_sum::<f32>(sum, &mut shared, UNITS);
    if UNIT_POS == 0 {
        sums[CUBE_POS] = total;
    }
}

#[cube(launch_unchecked)]
fn backward_kernel(
    logits: &Array<f32>,
    labels: &Array<i32>,
    grad: &Array<f32>,
    output: &mut Array<f32>,
    classes: usize,
    positions: usize,
    alpha: f32,
    gamma: f32,
) {
    if ABSOLUTE_POS >= output.len() {
        terminate!();
    }
    let place = ABSOLUTE_POS;
    let label = labels[place / positions / classes * positions + place % positions];
    let (sign, weight) = sign_and_weight(label, place / positions % classes, alpha);
    let (sigmoid, softplus) = sigmoid_and_softplus(logits[place] * sign);
    let slope = gamma * (1.0 - sigmoid) * softplus + sigmoid;
    output[place] = grad[0] * sign * weight * sigmoid.powf(gamma) * slope;
}

/// Sums over parts of `[outer, classes, positions]`, `[parts]`.
pub(super) fn forward<R: CubeRuntime>(
    logits: CubeTensor<R>,
    labels: CubeTensor<R>,
    options: FocalLoss,
) -> CubeTensor<R> {
    let (logits, labels) = (dense(logits), dense(labels));
    let [_, classes, positions] = logits.shape().dims();
    let parts = logits.meta.num_elements().div_ceil(UNITS as usize * EACH);
    let sums = empty(&logits, [parts]);
    // SAFETY: a cube writes its own place, which it checks, and its units check what they read.
    unsafe {
        forward_kernel::launch_unchecked(
            &logits.client.clone(),
            cubes(&logits.client, parts),
            CubeDim::new_1d(UNITS),
            logits.into_array_arg(),
            labels.into_array_arg(),
            sums.clone().into_array_arg(),
            classes,
            positions,
            options.alpha,
            options.gamma,
        );
    }
    sums
}

/// The gradient of the logits.
pub(super) fn backward<R: CubeRuntime>(
    logits: CubeTensor<R>,
    labels: CubeTensor<R>,
    grad: CubeTensor<R>,
    options: FocalLoss,
) -> CubeTensor<R> {
    let (logits, labels, grad) = (dense(logits), dense(labels), dense(grad));
    let [outer, classes, positions] = logits.shape().dims();
    let output = empty(&logits, [outer, classes, positions]);
    let (count, dim) = elementwise(&logits.client, output.meta.num_elements());
    // SAFETY: a unit writes its own place, which it checks, and reads its own position.
    unsafe {
        backward_kernel::launch_unchecked(
            &logits.client.clone(),
            count,
            dim,
            logits.into_array_arg(),
            labels.into_array_arg(),
            grad.into_array_arg(),
            output.clone().into_array_arg(),
            classes,
            positions,
            options.alpha,
            options.gamma,
        );
    }
    output
}
