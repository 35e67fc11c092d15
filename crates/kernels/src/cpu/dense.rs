//! Convolution of one group, forward and backward, as matrix products that never hold the columns of
//! a whole map (Dukhan 2019, arXiv 1907.02129, has the idea and its history).
//!
//! A panel is what the kernel sees at as many positions as two vectors have lanes: small enough for
//! the cache, and as wide as the tile of [`product`]. Kernels of one are the same with less to copy.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::activation::apply;
use super::depthwise::Geometry;
use super::matrix::{Matrix, multiply_add};
use super::product::{lanes, product, product_add};
use super::storage::written;
use super::vector::{every_second, vectorised};
use crate::activation::Activation;

/// Elements of a task's output, about: half a usual second-level cache of 256 KiB.
const BLOCK: usize = 1 << 15;
/// Most rows of a panel that are multiplied at once.
const DEPTH: usize = 512;
/// Positions that a weight's gradient takes at once.
const POSITIONS: usize = 256;
/// Rows of a weight's gradient that a task computes, about.
const ROWS: usize = 96;
/// Tasks of a weight's gradient that are enough for many threads.
const TASKS: usize = 16;

/// Sizes of a convolution of one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dense {
    pub(super) geometry: Geometry,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
}

impl Dense {
    /// Rows of a panel for each input channel.
    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    fn positions(&self) -> usize {
        self.geometry.output.iter().product()
    }

    fn plane(&self) -> usize {
        self.geometry.input.iter().product()
    }

    /// What the kernel sees of `planes` at `count` positions from `first` on: `[channels * taps,
    /// width]`, of which `count` columns are written.
    #[inline(always)]
    fn pack(&self, planes: &[f32], first: usize, count: usize, panel: &mut Panel) {
        let Panel {
            values,
            taps,
            width,
        } = panel;
        let columns = self.geometry.output[1];
        let mut done = 0;
        while done < count {
            let (y, x) = ((first + done) / columns, (first + done) % columns);
            let length = (columns - x).min(count - done);
            for (tap, seen) in taps.iter_mut().enumerate() {
                *seen = self.seen([y, x], tap, length);
            }
            let rows = values.chunks_exact_mut(taps.len() * *width);
            for (plane, rows) in planes.chunks_exact(self.plane()).zip(rows) {
                for (seen, row) in taps.iter().zip(rows.chunks_exact_mut(*width)) {
                    seen.copy(plane, &mut row[done..done + length], self.stride);
                }
            }
            done += length;
        }
    }

    /// What a tap sees from `length` positions of a line, the first of them at `[y, x]`.
    #[inline(always)]
    fn seen(&self, [y, x]: [usize; 2], tap: usize, length: usize) -> Seen {
        let [height, columns] = self.geometry.input;
        let [top, left] = self.geometry.before;
        let line = (y * self.stride + tap / self.kernel).wrapping_sub(top);
        if line >= height {
            return Seen {
                begin: length,
                end: length,
                start: 0,
            };
        }
        // The column behind position `index` is `index * stride + first - left`.
        let first = x * self.stride + tap % self.kernel;
        let begin = left.saturating_sub(first).div_ceil(self.stride).min(length);
        let end = (columns + left).saturating_sub(first).div_ceil(self.stride);
        Seen {
            begin,
            end: end.clamp(begin, length),
            start: (line * columns + begin * self.stride + first).wrapping_sub(left),
        }
    }
}

/// What the kernel sees at some positions.
struct Panel {
    /// `[channels * taps, width]`
    values: Vec<f32>,
    /// Of the line at hand: what only depends on the tap, and costs a division to know.
    taps: Vec<Seen>,
    width: usize,
}

impl Panel {
    fn new(channels: usize, taps: usize, width: usize) -> Self {
        Self {
            values: vec![0.0; channels * taps * width],
            taps: vec![Seen::default(); taps],
            width,
        }
    }
}

/// Positions of a line for which a tap sees the map; for the others it sees padding.
#[derive(Clone, Copy, Default)]
struct Seen {
    begin: usize,
    end: usize,
    /// Where in the plane the first of them is.
    start: usize,
}

impl Seen {
    #[inline(always)]
    fn copy(&self, plane: &[f32], row: &mut [f32], stride: usize) {
        if stride == 1 && self.begin == 0 && self.end == row.len() {
            return copy(row, &plane[self.start..]);
        }
        row[..self.begin].fill(0.0);
        row[self.end..].fill(0.0);
        let target = &mut row[self.begin..self.end];
        if target.is_empty() {
            return;
        }
        let source = &plane[self.start..];
        match stride {
            1 => copy(target, source),
            2 => every_second(target, source),
            _ => {
                for (target, source) in target.iter_mut().zip(source.iter().step_by(stride)) {
                    *target = *source;
                }
            }
        }
    }
}

/// A copy of a few values without the call that `copy_from_slice` would be.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    let length = to.len();
    let (to, to_rest) = to.as_chunks_mut::<8>();
    let (from, from_rest) = from[..length].as_chunks::<8>();
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to = *from;
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
    let (positions, width) = (dense.positions(), 2 * lanes());
    let image = dense.inputs * dense.plane();
    let batch = x.len() / image;
    let panels = (BLOCK / dense.outputs / width).clamp(1, positions.div_ceil(width));
    let block = panels * width;
    let blocks = positions.div_ceil(block);
    let write = |places: &mut [MaybeUninit<f32>]| {
        // The rows of every task: its positions of all channels.
        let mut tasks: Vec<Vec<&mut [MaybeUninit<f32>]>> = Vec::new();
        tasks.resize_with(batch * blocks, || Vec::with_capacity(dense.outputs));
        for (row, line) in places.chunks_exact_mut(positions).enumerate() {
            for (index, part) in line.chunks_mut(block).enumerate() {
                tasks[row / dense.outputs * blocks + index].push(part);
            }
        }
        tasks.into_par_iter().enumerate().for_each_init(
            || {
                let panel = Panel::new(dense.inputs, dense.taps(), width);
                (panel, vec![0.0; dense.outputs * width])
            },
            |(panel, result), (task, mut rows)| {
                let planes = &x[task / blocks * image..][..image];
                let (first, count) = (task % blocks * block, rows[0].len());
                for start in (0..count).step_by(width) {
                    let part = start..(start + width).min(count);
                    vectorised(
                        #[inline(always)]
                        || {
                            dense.pack(planes, first + part.start, part.len(), panel);
                            multiply_panel(weight, &panel.values, result, [dense.outputs, width]);
                            for (channel, row) in result.chunks_exact_mut(width).enumerate() {
                                if let Some(bias) = bias {
                                    for value in row {
                                        *value += bias[channel];
                                    }
                                }
                            }
                            apply(activation, result);
                            for (row, result) in rows.iter_mut().zip(result.chunks_exact(width)) {
                                let places = &mut row[part.clone()];
                                for (place, value) in places.iter_mut().zip(result) {
                                    place.write(*value);
                                }
                            }
                        },
                    );
                }
            },
        );
    };
    // SAFETY: the lines cover all places, the parts each line, and each part is written whole.
    unsafe { written(batch * dense.outputs * positions, write) }
}

/// `[outputs, width]`: the weight times a panel of as many rows as the weight has columns.
#[inline(always)]
fn multiply_panel(weight: &[f32], panel: &[f32], result: &mut [f32], [outputs, width]: [usize; 2]) {
    let depth = weight.len() / outputs;
    for begin in (0..depth).step_by(DEPTH) {
        let end = (begin + DEPTH).min(depth);
        let weights = Matrix::rows(&weight[begin..], depth);
        let panel = &panel[begin * width..end * width];
        let sizes = [outputs, end - begin, width];
        if begin == 0 {
            product(weights, panel, result, sizes);
        } else {
            product_add(weights, panel, result, sizes);
        }
    }
}

/// The gradient of the input at stride 1: a convolution of the output's with the kernel turned
/// about and its channels exchanged.
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

/// The gradient of the weight, `[outputs, inputs * taps]`.
pub(super) fn backward_weight(x: &[f32], grad: &[f32], dense: Dense) -> Vec<f32> {
    let (positions, taps) = (dense.positions(), dense.taps());
    let image = dense.inputs * dense.plane();
    let batch = x.len() / image;
    // Tasks are channels of the input by shares of the positions: a fixed division, so that sums do
    // not depend on threads.
    let channels = (ROWS / taps).clamp(1, dense.inputs);
    let blocks = dense.inputs.div_ceil(channels);
    let chunks = batch * positions.div_ceil(POSITIONS);
    let shares = TASKS.div_ceil(blocks).min(chunks);
    let share = chunks.div_ceil(shares);
    let parts: Vec<Vec<f32>> = (0..blocks * shares)
        .into_par_iter()
        .map(|task| {
            let first = task / shares * channels;
            let count = channels.min(dense.inputs - first);
            let mut sums = vec![0.0; dense.outputs * count * taps];
            let mut panel = Panel::new(count, taps, POSITIONS);
            let begin = task % shares * share;
            for chunk in begin..(begin + share).min(chunks) {
                let per_image = positions.div_ceil(POSITIONS);
                let (index, start) = (chunk / per_image, chunk % per_image * POSITIONS);
                let length = POSITIONS.min(positions - start);
                let planes = &x[index * image + first * dense.plane()..][..count * dense.plane()];
                vectorised(
                    #[inline(always)]
                    || dense.pack(planes, start, length, &mut panel),
                );
                let grad = Matrix {
                    values: &grad[index * dense.outputs * positions + start..],
                    strides: [positions, 1],
                };
                let columns = Matrix::rows(&panel.values, POSITIONS).transposed();
                let sizes = [dense.outputs, length, count * taps];
                multiply_add(grad, columns, &mut sums, sizes);
            }
            sums
        })
        .collect();

    let mut gradient = vec![0.0; dense.outputs * dense.inputs * taps];
    for (task, sums) in parts.iter().enumerate() {
        let first = task / shares * channels * taps;
        let width = sums.len() / dense.outputs;
        let rows = gradient.chunks_exact_mut(dense.inputs * taps);
        for (row, sums) in rows.zip(sums.chunks_exact(width)) {
            for (value, sum) in row[first..first + width].iter_mut().zip(sums) {
                *value += sum;
            }
        }
    }
    gradient
}
