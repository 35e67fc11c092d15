//! Bilinear interpolation, one unit per output element.

use burn::tensor::TensorMetadata;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{dense, elementwise, empty};

/// The coordinate of a new position among the old ones, in `0..old - 1`.
#[cube]
pub(super) fn position(index: usize, old: usize, new: usize) -> f32 {
    let at = (index as f32 + 0.5) * (old as f32 / new as f32) - 0.5;
    clamp(at, 0.0, (old - 1) as f32)
}

/// The weight of an old position in a new one.
#[cube]
pub(super) fn share(index: usize, wanted: usize, old: usize, new: usize) -> f32 {
    let distance = position(index, old, new) - wanted as f32;
    max(1.0 - distance.abs(), 0.0)
}

/// The interpolated value of the map that begins at `map`.
#[cube]
pub(super) fn blend(
    values: &Array<f32>,
    map: usize,
    y: f32,
    x: f32,
    height: usize,
    width: usize,
) -> f32 {
    let (top, left) = (y as usize, x as usize);
    let (bottom, right) = (min(top + 1, height - 1), min(left + 1, width - 1));
    let (down, across) = (y - top as f32, x - left as f32);
    let above = values[map + top * width + left] * (1.0 - across)
        + values[map + top * width + right] * across;
    let below = values[map + bottom * width + left] * (1.0 - across)
        + values[map + bottom * width + right] * across;
    above * (1.0 - down) + below * down
}

#[cube(launch_unchecked)]
fn forward_kernel(
    x: &Array<f32>,
    output: &mut Array<f32>,
    old_height: usize,
    old_width: usize,
    height: usize,
    width: usize,
) {
    if ABSOLUTE_POS >= output.len() {
        terminate!();
    }
    let column = ABSOLUTE_POS % width;
    let row = (ABSOLUTE_POS / width) % height;
    let map = ABSOLUTE_POS / width / height * old_height * old_width;
    let y = position(row, old_height, height);
    let x_at = position(column, old_width, width);
    output[ABSOLUTE_POS] = blend(x, map, y, x_at, old_height, old_width);
}

/// The range of new positions that may use an old one, as first and one past the last.
#[cube]
pub(super) fn range(wanted: usize, old: usize, new: usize) -> (usize, usize) {
    let ratio = new as f32 / old as f32;
    let mut first = 0usize.runtime();
    if wanted > 0 {
        // A position too many is no harm: its share is zero.
        first = max((wanted as f32 - 0.5) * ratio - 1.5, 0.0) as usize;
    }
    let mut end = new;
    if wanted + 1 < old {
        end = min(((wanted as f32 + 1.5) * ratio + 1.5) as usize, new);
    }
    (first, end)
}

#[cube(launch_unchecked)]
fn backward_kernel(
    grad: &Array<f32>,
    output: &mut Array<f32>,
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
    let map = ABSOLUTE_POS / old_width / old_height * height * width;
    let (top, bottom) = range(row, old_height, height);
    let (left, right) = range(column, old_width, width);
    let mut sum = 0.0f32;
    for y in top..bottom {
        let down = share(y, row, old_height, height);
        for x in left..right {
            sum += down * share(x, column, old_width, width) * grad[map + y * width + x];
        }
    }
    output[ABSOLUTE_POS] = sum;
}

/// Resizes `[batch, channels, height, width]` to `[height, width]`.
pub(super) fn forward<R: CubeRuntime>(x: CubeTensor<R>, size: [usize; 2]) -> CubeTensor<R> {
    let x = dense(x);
    let [batch, channels, height, width] = x.shape().dims();
    let output = empty(&x, [batch, channels, size[0], size[1]]);
    let (count, dim) = elementwise(&x.client, output.meta.num_elements());
    // SAFETY: a unit writes its own place, which it checks, and reads inside of its map.
    unsafe {
        forward_kernel::launch_unchecked(
            &x.client.clone(),
            count,
            dim,
            x.into_array_arg(),
            output.clone().into_array_arg(),
            height,
            width,
            size[0],
            size[1],
        );
    }
    output
}

/// The gradient of a map of size `[height, width]`.
pub(super) fn backward<R: CubeRuntime>(grad: CubeTensor<R>, size: [usize; 2]) -> CubeTensor<R> {
    let grad = dense(grad);
    let [batch, channels, height, width] = grad.shape().dims();
    let output = empty(&grad, [batch, channels, size[0], size[1]]);
    let (count, dim) = elementwise(&grad.client, output.meta.num_elements());
    // SAFETY: as in `forward`.
    unsafe {
        backward_kernel::launch_unchecked(
            &grad.client.clone(),
            count,
            dim,
            grad.into_array_arg(),
            output.clone().into_array_arg(),
            size[0],
            size[1],
            height,
            width,
        );
    }
    output
}
