//! The sum of a map and a coarser one, a line at a time.

use burn::tensor::TensorMetadata;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::storage::{map, tensor};
use super::vector::vectorised;
use crate::add_nearest::sources;

/// See [`crate::add_nearest`].
pub(super) fn forward(fine: FlexTensor, coarse: &FlexTensor) -> FlexTensor {
    let coarse = coarse.to_contiguous();
    let [_, _, height, width] = fine.shape().dims();
    let [_, _, rows, columns] = coarse.shape().dims();
    let (down, across) = (sources(rows, height), sources(columns, width));
    let is_doubled = width == 2 * columns;
    let values = coarse.storage::<f32>();
    map(
        fine,
        width,
        #[inline(always)]
        |start, elements| {
            let mut enlarged = vec![0.0; width];
            let mut held = usize::MAX;
            elements.rows(
                width,
                #[inline(always)]
                |index, line| {
                    let (plane, y) = (
                        (start / width + index) / height,
                        (start / width + index) % height,
                    );
                    let source = plane * rows + down[y];
                    if source != held {
                        held = source;
                        let source = &values[source * columns..][..columns];
                        if is_doubled {
                            double(source, &mut enlarged);
                        } else {
                            for (value, source_of) in enlarged.iter_mut().zip(&across) {
                                *value = source[*source_of];
                            }
                        }
                    }
                    line.replace_with(
                        [&enlarged],
                        #[inline(always)]
                        |value, [other]| value + other,
                    )
                },
            )
        },
    )
}

/// Every value twice.
#[inline(always)]
fn double(source: &[f32], enlarged: &mut [f32]) {
    for (pair, value) in enlarged.as_chunks_mut::<2>().0.iter_mut().zip(source) {
        *pair = [*value; 2];
    }
}

/// The gradient of the coarse map.
pub(super) fn backward(grad: &FlexTensor, [rows, columns]: [usize; 2]) -> FlexTensor {
    let grad = grad.to_contiguous();
    let [batch, channels, height, width] = grad.shape().dims();
    let (down, across) = (sources(rows, height), sources(columns, width));
    let is_doubled = width == 2 * columns;
    let mut values = vec![0.0; batch * channels * rows * columns];
    let planes = values.par_chunks_mut(rows * columns);
    let grads = grad.storage::<f32>().par_chunks(height * width);
    planes.zip(grads).for_each(|(plane, grad)| {
        vectorised(
            #[inline(always)]
            || {
                for (line, y) in grad.chunks_exact(width).zip(&down) {
                    let to = &mut plane[y * columns..][..columns];
                    if is_doubled {
                        for (to, pair) in to.iter_mut().zip(line.as_chunks::<2>().0) {
                            *to += pair[0] + pair[1];
                        }
                    } else {
                        for (value, x) in line.iter().zip(&across) {
                            to[*x] += value;
                        }
                    }
                }
            },
        );
    });
    tensor(values, [batch, channels, rows, columns])
}
