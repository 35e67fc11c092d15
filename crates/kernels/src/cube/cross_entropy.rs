//! Pixel-wise cross entropy. Logits of another size than the labels are interpolated on the fly and never
//! stored at the larger size.

use burn::tensor::TensorMetadata;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{dense, elementwise, empty};
use super::resize::{blend, position, range, share};

/// The normaliser of every pixel, `log sum exp` of its logits, and its part of the loss.
#[cube(launch_unchecked)]
fn forward_kernel(
    logits: &Array<f32>,
    labels: &Array<i32>,
    weights: &Array<f32>,
    normalisers: &mut Array<f32>,
    losses: &mut Array<f32>,
    classes: usize,
    old_height: usize,
    old_width: usize,
    height: usize,
    width: usize,
) {
    if ABSOLUTE_POS >= losses.len() {
        terminate!();
    }
    let y = position(ABSOLUTE_POS / width % height, old_height, height);
    let x = position(ABSOLUTE_POS % width, old_width, width);
    let plane = old_height * old_width;
    let first = ABSOLUTE_POS / width / height * classes * plane;
    let label = labels[ABSOLUTE_POS] as usize;
    let mut largest = f32::min_value();
    let mut sum = 0.0f32;
    let mut wanted = 0.0f32;
    for class in 0..classes {
        let logit = blend(logits, first + class * plane, y, x, old_height, old_width);
        let larger = max(largest, logit);
        sum = sum * (largest - larger).exp() + (logit - larger).exp();
        largest = larger;
        if class == label {
            wanted = logit;
        }
    }
    let normaliser = largest + sum.ln();
    normalisers[ABSOLUTE_POS] = normaliser;
    losses[ABSOLUTE_POS] = weights[ABSOLUTE_POS] * (normaliser - wanted);
}

/// The gradient of every logit, summed over all pixels that are interpolated from it.
#[cube(launch_unchecked)]
fn backward_kernel(
    logits: &Array<f32>,
    normalisers: &Array<f32>,
    labels: &Array<i32>,
    weights: &Array<f32>,
    grad: &Array<f32>,
    output: &mut Array<f32>,
    classes: usize,
    old_height: usize,
    old_width: usize,
    height: usize,
    width: usize,
) {
    if ABSOLUTE_POS >= output.len() {
        terminate!();
    }
    let column = ABSOLUTE_POS % old_width;
    let row = (ABSOLUTE_POS / old_width) % old_height;
    let plane = old_height * old_width;
    let map = ABSOLUTE_POS / plane * plane;
    let class = ABSOLUTE_POS / plane % classes;
    let pixels = ABSOLUTE_POS / plane / classes * height * width;
    let (top, bottom) = range(row, old_height, height);
    let (left, right) = range(column, old_width, width);
    let mut sum = 0.0f32;
    for y in top..bottom {
        let down = share(y, row, old_height, height);
        let y_at = position(y, old_height, height);
        for x in left..right {
            let share = down * share(x, column, old_width, width);
            if share > 0.0 {
                let pixel = pixels + y * width + x;
                let x_at = position(x, old_width, width);
                let logit = blend(logits, map, y_at, x_at, old_height, old_width);
                let mut slope = (logit - normalisers[pixel]).exp();
                if labels[pixel] as usize == class {
                    slope -= 1.0;
                }
                sum += share * weights[pixel] * slope;
            }
        }
    }
    output[ABSOLUTE_POS] = sum * grad[0];
}

/// The parts of the loss and the normalisers, `[batch, positions]` each, of logits `[batch, classes, height,
/// width]` resized to `size`.
pub(super) fn forward<R: CubeRuntime>(
    logits: CubeTensor<R>,
    labels: CubeTensor<R>,
    weights: CubeTensor<R>,
    size: [usize; 2],
) -> [CubeTensor<R>; 2] {
    let (logits, labels, weights) = (dense(logits), dense(labels), dense(weights));
    let [batch, classes, height, width] = logits.shape().dims();
    let shape = [batch, size[0] * size[1]];
    let [normalisers, losses] = [empty(&logits, shape), empty(&logits, shape)];
    let (count, dim) = elementwise(&logits.client, losses.meta.num_elements());
    // SAFETY: a unit writes its own place of two arrays of one length, which it checks, and reads inside of its
    // image; a label that is no class matches none.
    unsafe {
        forward_kernel::launch_unchecked(
            &logits.client.clone(),
            count,
            dim,
            logits.into_array_arg(),
            labels.into_array_arg(),
            weights.into_array_arg(),
            normalisers.clone().into_array_arg(),
            losses.clone().into_array_arg(),
            classes,
            height,
            width,
            size[0],
            size[1],
        );
    }
    [losses, normalisers]
}

/// The gradient of the logits.
pub(super) fn backward<R: CubeRuntime>(
    logits: CubeTensor<R>,
    normalisers: CubeTensor<R>,
    labels: CubeTensor<R>,
    weights: CubeTensor<R>,
    grad: CubeTensor<R>,
    size: [usize; 2],
) -> CubeTensor<R> {
    let logits = dense(logits);
    let [batch, classes, height, width] = logits.shape().dims();
    let output = empty(&logits, [batch, classes, height, width]);
    let (count, dim) = elementwise(&logits.client, output.meta.num_elements());
    // SAFETY: as in `forward`.
    unsafe {
        backward_kernel::launch_unchecked(
            &logits.client.clone(),
            count,
            dim,
            logits.into_array_arg(),
            dense(normalisers).into_array_arg(),
            dense(labels).into_array_arg(),
            dense(weights).into_array_arg(),
            dense(grad).into_array_arg(),
            output.clone().into_array_arg(),
            classes,
            height,
            width,
            size[0],
            size[1],
        );
    }
    output
}
