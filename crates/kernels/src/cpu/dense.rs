//! Convolution of one group, and the gradient of its input, as matrix products that never hold the columns of
//! a whole map (Dukhan 2019, arXiv 1907.02129, has the idea and its history).
//!
//! A panel holds the input of the kernel at as many positions as two vectors have lanes: small enough for the
//! cache, and as wide as the tile of [`product`]. 1x1 kernels work the same way with less to copy.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::activation::{Finish, SumBias};
use super::depthwise::Geometry;
use super::matrix::Matrix;
use super::packed::{Left, Upcoming, product_panel, width};
use super::sizes::Dense;
use super::storage::{split_columns, written};
use super::vector::{copy_strided, vectorised};
use super::winograd;
use crate::activation::Activation;

/// Approximate number of elements of a task's output: half of a typical second-level cache of 256 KiB.
const BLOCK: usize = 1 << 15;
/// Approximate number of elements that are packed before they are multiplied: a line of a map in the
/// second-level cache.
const PACKED: usize = 1 << 15;

impl Dense {
    /// Packs the input of the kernel in `planes` at `count` positions from `first` on.
    #[inline(always)]
    fn pack(&self, planes: &[f32], first: usize, count: usize, panels: &mut Panels) {
        let width = panels.width;
        let columns = self.geometry.output[1];
        panels.pieces.clear();
        let mut done = 0;
        while done < count {
            let (y, x) = ((first + done) / columns, (first + done) % columns);
            let (panel, column) = (done / width, done % width);
            let length = (columns - x).min(count - done).min(width - column);
            for row in 0..self.kernel {
                for shift in 0..self.kernel {
                    let tap = panel * panels.depth + row * self.kernel + shift;
                    let to = tap * width + column;
                    panels
                        .pieces
                        .push(self.seen([y, x], [row, shift], to..to + length));
                }
            }
            done += length;
        }
        // A plane at a time, so that its lines are read one after the other.
        for (index, plane) in planes.chunks_exact(self.plane()).enumerate() {
            let values = &mut panels.values[index * self.taps() * width..];
            for piece in &panels.pieces {
                piece.copy(plane, values, self.stride);
            }
        }
    }

    /// The input of a tap for the positions of a line from `[y, x]` on.
    #[inline(always)]
    fn seen(&self, [y, x]: [usize; 2], [row, shift]: [usize; 2], to: Range<usize>) -> Piece {
        let [height, columns] = self.geometry.input;
        let [top, left] = self.geometry.before;
        let line = (y * self.stride + row).wrapping_sub(top);
        let length = to.len();
        if line >= height {
            return Piece {
                begin: to.end,
                end: to.end,
                from: 0,
                to,
            };
        }
        // The column behind position `index` is `index * stride + first - left`.
        let first = x * self.stride + shift;
        let begin = left.saturating_sub(first).div_ceil(self.stride).min(length);
        let end = (columns + left).saturating_sub(first).div_ceil(self.stride);
        Piece {
            begin: to.start + begin,
            end: to.start + end.clamp(begin, length),
            from: (line * columns + begin * self.stride + first).wrapping_sub(left),
            to,
        }
    }
}

/// The input of the kernel at some positions, `width` of them per panel.
struct Panels {
    /// `[panels, depth, width]`, where the depth is that of all channels and taps.
    values: Vec<f32>,
    /// The pieces of one channel: they depend only on taps and positions, and computing them needs divisions.
    pieces: Vec<Piece>,
    depth: usize,
    width: usize,
}

impl Panels {
    fn new(count: usize, depth: usize, width: usize) -> Self {
        Self {
            values: vec![0.0; count * depth * width],
            pieces: Vec::new(),
            depth,
            width,
        }
    }

    /// The panels of as many positions.
    fn each(&self, positions: usize) -> impl Iterator<Item = &[f32]> {
        let panels = self.values.chunks_exact(self.depth * self.width);
        panels.take(positions.div_ceil(self.width))
    }
}

/// A part of a line for one tap: of its indices `to` in a panel, those from `begin` to `end` read the map, the
/// others padding.
struct Piece {
    to: Range<usize>,
    begin: usize,
    end: usize,
    /// Index in the plane of the first of them.
    from: usize,
}

impl Piece {
    #[inline(always)]
    fn copy(&self, plane: &[f32], values: &mut [f32], stride: usize) {
        let is_whole = self.begin == self.to.start && self.end == self.to.end;
        if is_whole && stride == 1 && self.to.len() == 16 {
            // Most pieces of a map that is not small.
            let target = values[self.begin..].first_chunk_mut::<16>();
            let source = plane[self.from..].first_chunk::<16>();
            if let (Some(target), Some(source)) = (target, source) {
                *target = *source;
                return;
            }
        }
        if !is_whole {
            values[self.to.start..self.begin].fill(0.0);
            values[self.end..self.to.end].fill(0.0);
            if self.begin == self.end {
                return;
            }
        }
        copy_strided(
            &mut values[self.begin..self.end],
            &plane[self.from..],
            stride,
        );
    }
}

/// The output, `[batch, outputs, positions]`; `weight` is `[outputs, inputs * taps]`.
pub(super) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    dense: Dense,
    activation: Activation,
) -> Vec<f32> {
    let (positions, width) = (dense.positions(), width());
    let depth = dense.inputs * dense.taps();
    let image = dense.inputs * dense.plane();
    let batch = x.len() / image;
    if winograd::is_faster(batch, dense) {
        return winograd::forward(x, weight, bias, dense, activation);
    }
    let finish = Finish::new(bias.map_or(SumBias::None, SumBias::Rows), activation);
    let weights = Left::new(Matrix::rows(weight, depth), [dense.outputs, depth]);
    let panels = (BLOCK / dense.outputs / width).clamp(1, positions.div_ceil(width));
    let block = panels * width;
    let blocks = positions.div_ceil(block);
    let write = |places: &mut [MaybeUninit<f32>]| {
        // The rows of every task: its positions of all channels.
        let tasks: Vec<_> = places
            .chunks_exact_mut(dense.outputs * positions)
            .flat_map(|image| split_columns(image, positions, block))
            .collect();
        tasks.into_par_iter().enumerate().for_each_init(
            || {
                let group = (PACKED / (depth * width)).clamp(1, panels);
                let panels = Panels::new(group, depth, width);
                (panels, vec![0.0; dense.outputs * width])
            },
            |(panels, result), (task, mut rows)| {
                let planes = &x[task / blocks * image..][..image];
                let first = task % blocks * block;
                let length = rows[0].len();
                let group = panels.values.len() / depth;
                for start in (0..length).step_by(group) {
                    let count = group.min(length - start);
                    vectorised(
                        #[inline(always)]
                        || dense.pack(planes, first + start, count, panels),
                    );
                    for (index, panel) in panels.each(count).enumerate() {
                        let start = start + index * width;
                        let end = (start + width).min(length);
                        let to = Upcoming::new(&rows[0][start..], positions);
                        product_panel(&weights, panel, result, Some(to), |channels, sums| {
                            let places = rows[channels.clone()].iter_mut().map(
                                #[inline(always)]
                                |row| &mut row[start..end],
                            );
                            finish.write(sums, [channels, start..end], places);
                        });
                    }
                }
            },
        );
    };
    // SAFETY: the lines cover all places, the parts each line, and each part is written whole.
    unsafe { written(batch * dense.outputs * positions, write) }
}

/// The gradient of the input at stride 1: a convolution of the output's gradient with the flipped kernel and
/// its channels exchanged.
pub(super) fn backward_input(grad: &[f32], weight: &[f32], dense: Dense) -> Vec<f32> {
    let taps = dense.taps();
    let mut turned = vec![0.0; weight.len()];
    for (row, kernel) in weight.chunks_exact(taps).enumerate() {
        let (output, input) = (row / dense.inputs, row % dense.inputs);
        let target = &mut turned[(input * dense.outputs + output) * taps..][..taps];
        for (target, value) in target.iter_mut().zip(kernel.iter().rev()) {
            *target = *value;
        }
    }
    let geometry = Geometry {
        input: dense.geometry.output,
        output: dense.geometry.input,
        before: dense
            .geometry
            .before
            .map(|before| dense.kernel - 1 - before),
    };
    let turned_dense = Dense {
        geometry,
        inputs: dense.outputs,
        outputs: dense.inputs,
        ..dense
    };
    forward(grad, &turned, None, turned_dense, Activation::Identity)
}
