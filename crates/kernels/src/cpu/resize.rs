//! Bilinear resizing, a plane at a time.

use burn::tensor::TensorMetadata;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::storage::tensor;
use super::vector::vectorised;
use crate::resize::Tap;

/// See [`crate::resize_bilinear`].
pub(super) fn forward(x: FlexTensor, size: [usize; 2]) -> FlexTensor {
    let x = x.to_contiguous();
    let [batch, channels, height, width] = x.shape().dims();
    let (down, across) = (Tap::all(height, size[0]), Tap::all(width, size[1]));
    let mut output = vec![0.0; batch * channels * size[0] * size[1]];
    output
        .par_chunks_mut(size[0] * size[1])
        .zip(x.storage::<f32>().par_chunks(height * width))
        .for_each_init(
            || Rows::new(size[1]),
            |rows, (output, plane)| {
                rows.held = [usize::MAX; 2];
                vectorised(
                    #[inline(always)]
                    || rows.resize(plane, output, &down, &across, width),
                );
            },
        );
    tensor(output, [batch, channels, size[0], size[1]])
}

/// The last two source rows, resized along their width.
struct Rows {
    values: [Vec<f32>; 2],
    held: [usize; 2],
}

impl Rows {
    fn new(width: usize) -> Self {
        Self {
            values: [vec![0.0; width], vec![0.0; width]],
            held: [usize::MAX; 2],
        }
    }

    #[inline(always)]
    fn resize(
        &mut self,
        plane: &[f32],
        output: &mut [f32],
        down: &[Tap],
        across: &[Tap],
        width: usize,
    ) {
        for (tap, output) in down.iter().zip(output.chunks_exact_mut(across.len())) {
            // A row that was the lower one becomes the upper one.
            if self.held[1] == tap.below {
                self.values.swap(0, 1);
                self.held.swap(0, 1);
            }
            for (slot, row) in [tap.below, tap.above].into_iter().enumerate() {
                if self.held[slot] != row {
                    let source = &plane[row * width..(row + 1) * width];
                    for (place, tap) in self.values[slot].iter_mut().zip(across) {
                        let (below, above) = (source[tap.below], source[tap.above]);
                        *place = (above - below).mul_add(tap.share, below);
                    }
                    self.held[slot] = row;
                }
            }
            let [upper, lower] = &self.values;
            for ((place, &upper), &lower) in output.iter_mut().zip(upper).zip(lower) {
                *place = (lower - upper).mul_add(tap.share, upper);
            }
        }
    }
}

/// The gradient of an input of `size`, `[height, width]`.
pub(super) fn backward(grad: FlexTensor, size: [usize; 2]) -> FlexTensor {
    let grad = grad.to_contiguous();
    let [batch, channels, height, width] = grad.shape().dims();
    let (down, across) = (Tap::all(size[0], height), Tap::all(size[1], width));
    let mut output = vec![0.0; batch * channels * size[0] * size[1]];
    output
        .par_chunks_mut(size[0] * size[1])
        .zip(grad.storage::<f32>().par_chunks(height * width))
        .for_each_init(
            || vec![0.0; size[0] * width],
            |rows, (output, grad)| {
                vectorised(
                    #[inline(always)]
                    || spread(grad, output, &down, &across, rows),
                );
            },
        );
    tensor(output, [batch, channels, size[0], size[1]])
}

/// The transpose of [`Rows::resize`]: first vertically into `rows`, then horizontally.
#[inline(always)]
fn spread(grad: &[f32], output: &mut [f32], down: &[Tap], across: &[Tap], rows: &mut [f32]) {
    let width = across.len();
    rows.fill(0.0);
    for (tap, grad) in down.iter().zip(grad.chunks_exact(width)) {
        for (row, share) in [(tap.below, 1.0 - tap.share), (tap.above, tap.share)] {
            let row = &mut rows[row * width..(row + 1) * width];
            for (sum, &value) in row.iter_mut().zip(grad) {
                *sum = value.mul_add(share, *sum);
            }
        }
    }
    let columns = output.len() / (rows.len() / width);
    for (output, row) in output
        .chunks_exact_mut(columns)
        .zip(rows.chunks_exact(width))
    {
        for (tap, &value) in across.iter().zip(row) {
            output[tap.below] += value * (1.0 - tap.share);
            output[tap.above] += value * tap.share;
        }
    }
}
