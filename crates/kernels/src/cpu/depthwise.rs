//! Depthwise convolution, forward and backward.
//!
//! A band of the padded plane is copied into a buffer that fits the first-level cache; at stride 2 its even and
//! odd columns are kept apart, so every tap of the kernel reads consecutive values. Tiles of 4 rows by two
//! vectors then stay in registers over all taps, and a value that a tap reads serves every row of the tile that
//! uses its line.

use std::mem::MaybeUninit;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activation::apply;
use super::packed::width;
use super::storage::{write_copy, written};
use super::vector::{every_second, vectorised};
use crate::activation::Activation;

/// Number of columns that the weight gradient takes at once.
const LANES: usize = 16;
/// Rows of a tile.
const ROWS: usize = 4;
/// Elements of a band's buffer: half of a typical first-level cache of 32 KiB.
const BAND: usize = 4096;

/// Sizes of a depthwise convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the output.
    pub output: [usize; 2],
    /// Padding before the first row and column.
    pub before: [usize; 2],
}

/// The padded input rows of a band of output rows, with columns sorted by their remainder modulo `STRIDE`.
struct Band<const KERNEL: usize, const STRIDE: usize> {
    geometry: Geometry,
    /// Columns of one remainder.
    columns: usize,
    /// Output rows of a full band, a multiple of `ROWS`.
    rows: usize,
    values: Vec<f32>,
}

impl<const KERNEL: usize, const STRIDE: usize> Band<KERNEL, STRIDE> {
    fn new(geometry: Geometry) -> Self {
        let tile = width().max(LANES);
        let columns = geometry.output[1].next_multiple_of(tile) + KERNEL.div_ceil(STRIDE);
        let width = columns * STRIDE;
        let fitting = (BAND / width).saturating_sub(KERNEL) / STRIDE;
        let rows = fitting.clamp(ROWS, geometry.output[0].next_multiple_of(ROWS));
        let rows = rows / ROWS * ROWS;
        Self {
            geometry,
            columns,
            rows,
            values: vec![0.0; (rows * STRIDE + KERNEL) * width],
        }
    }

    fn width(&self) -> usize {
        self.columns * STRIDE
    }

    /// Copies the rows that the output rows from `first` on need.
    #[inline(always)]
    fn fill(&mut self, plane: &[f32], first: usize) {
        let [height, width] = self.geometry.input;
        let [top, left] = self.geometry.before;
        let columns = self.columns;
        for (row, line) in self.values.chunks_exact_mut(columns * STRIDE).enumerate() {
            let padded = first * STRIDE + row;
            if padded < top || padded >= top + height {
                line.fill(0.0);
                continue;
            }
            let source = &plane[(padded - top) * width..][..width];
            if STRIDE == 1 {
                // Beyond the padding nothing is ever read but for columns that are not stored.
                let end = (left + width).min(columns);
                line[..left].fill(0.0);
                line[left..end].copy_from_slice(&source[..end - left]);
                line[end..].fill(0.0);
            } else {
                line.fill(0.0);
                for remainder in 0..STRIDE {
                    // The first source column of this remainder.
                    let skip = (remainder + STRIDE - left % STRIDE) % STRIDE;
                    let start = remainder * columns + (left + skip) / STRIDE;
                    let end = (remainder + 1) * columns;
                    every_second(&mut line[start..end], &source[skip.min(width)..]);
                }
            }
        }
    }

    /// Offset in a row of the value that tap `kernel` of output column 0 reads.
    #[inline(always)]
    fn tap(&self, kernel: usize) -> usize {
        kernel % STRIDE * self.columns + kernel / STRIDE
    }

    /// Adds to `sums` the products of a plane and its output's gradient, tap by tap and lane by
    /// lane; `line` is scratch.
    #[inline(always)]
    fn correlate(
        &mut self,
        plane: &[f32],
        grad: &[f32],
        sums: &mut [[[f32; LANES]; KERNEL]; KERNEL],
        line: &mut Vec<f32>,
    ) {
        let [height, width] = self.geometry.output;
        line.clear();
        line.resize(width.next_multiple_of(LANES), 0.0);
        let mut first = 0;
        while first < height {
            self.fill(plane, first);
            let last = (first + self.rows).min(height);
            for row in first..last {
                line[..width].copy_from_slice(&grad[row * width..(row + 1) * width]);
                for (y, sums) in sums.iter_mut().enumerate() {
                    let start = ((row - first) * STRIDE + y) * self.width();
                    let values = &self.values[start..start + self.width()];
                    let mut local = *sums;
                    for (column, grads) in line.chunks_exact(LANES).enumerate() {
                        for (x, sums) in local.iter_mut().enumerate() {
                            let start = self.tap(x) + column * LANES;
                            let values = &values[start..start + LANES];
                            for ((sum, &value), &grad) in sums.iter_mut().zip(values).zip(grads) {
                                *sum = value.mul_add(grad, *sum);
                            }
                        }
                    }
                    *sums = local;
                }
            }
            first = last;
        }
    }
}

/// A plane's convolution, with bias and activation.
struct Convolve<'a, const KERNEL: usize, const STRIDE: usize> {
    band: &'a mut Band<KERNEL, STRIDE>,
    plane: &'a [f32],
    /// The kernel's columns: a slice, since the compiler would unroll an array and run out of registers.
    taps: &'a [Tap<KERNEL>],
    bias: f32,
    activation: Activation,
    /// Rows of a tile over the whole width.
    lines: &'a mut [f32],
    places: &'a mut [MaybeUninit<f32>],
}

impl<const KERNEL: usize, const STRIDE: usize> WithSimd for Convolve<'_, KERNEL, STRIDE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let band = self.band;
        let [height, width] = band.geometry.output;
        let padded = self.lines.len() / ROWS;
        for first in (0..height).step_by(band.rows) {
            band.fill(self.plane, first);
            let last = (first + band.rows).min(height);
            for row in (first..last).step_by(ROWS) {
                let (lines, _) = S::as_mut_simd_f32s(self.lines);
                let vectors = lines.len() / ROWS;
                for column in (0..vectors).step_by(2) {
                    let mut tile = Tile([[simd.splat_f32s(self.bias); 2]; ROWS]);
                    let first = [row - first, column * S::F32_LANES];
                    for tap in self.taps {
                        tile.add(simd, band, tap, first);
                    }
                    for (line, sums) in lines.chunks_exact_mut(vectors).zip(&tile.0) {
                        line[column..column + 2].copy_from_slice(sums);
                    }
                }
                apply(self.activation, self.lines);
                let places = self.places[row * width..(row + ROWS).min(last) * width]
                    .chunks_exact_mut(width);
                for (places, line) in places.zip(self.lines.chunks_exact(padded)) {
                    write_copy(places, &line[..width]);
                }
            }
        }
    }
}

/// A column of a kernel.
struct Tap<const KERNEL: usize> {
    /// Offset in a line of the band that output column 0 reads.
    offset: usize,
    weights: [f32; KERNEL],
}

/// Some rows and two vectors of columns of an output.
struct Tile<S: Simd>([[S::f32s; 2]; ROWS]);

impl<S: Simd> Tile<S> {
    /// Adds the products of one column of the kernel.
    #[inline(always)]
    fn add<const KERNEL: usize, const STRIDE: usize>(
        &mut self,
        simd: S,
        band: &Band<KERNEL, STRIDE>,
        tap: &Tap<KERNEL>,
        [row, column]: [usize; 2],
    ) {
        let lines = (ROWS - 1) * STRIDE + KERNEL;
        let width = band.width();
        let start = row * STRIDE * width + tap.offset + column;
        let values = &band.values[start..][..(lines - 1) * width + 2 * S::F32_LANES];
        for line in 0..lines {
            let (seen, _) = S::as_simd_f32s(&values[line * width..][..2 * S::F32_LANES]);
            for (index, sums) in self.0.iter_mut().enumerate() {
                let Some(y) = line.checked_sub(index * STRIDE).filter(|y| *y < KERNEL) else {
                    continue;
                };
                let weight = simd.splat_f32s(tap.weights[y]);
                for (sum, seen) in sums.iter_mut().zip(seen) {
                    *sum = simd.mul_add_e_f32s(*seen, weight, *sum);
                }
            }
        }
    }
}

/// `activation(weight * x + bias)` of planes `[batch * channels, height, width]`.
pub(super) fn forward<const KERNEL: usize, const STRIDE: usize>(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    geometry: Geometry,
    activation: Activation,
) -> Vec<f32> {
    let channels = weight.len() / (KERNEL * KERNEL);
    let [input, output] = [geometry.input, geometry.output].map(|[height, width]| height * width);
    let write = |places: &mut [MaybeUninit<f32>]| {
        let planes = places.par_chunks_mut(output).zip(x.par_chunks(input));
        planes.enumerate().for_each_init(
            || {
                let columns = geometry.output[1].next_multiple_of(width());
                let lines = vec![0.0; ROWS * columns];
                (Band::<KERNEL, STRIDE>::new(geometry), Vec::new(), lines)
            },
            |(band, taps, lines), (index, (places, plane))| {
                let channel = index % channels;
                let weight = &weight[channel * KERNEL * KERNEL..][..KERNEL * KERNEL];
                taps.clear();
                taps.extend((0..KERNEL).map(|x| Tap {
                    offset: band.tap(x),
                    weights: std::array::from_fn(|y| weight[y * KERNEL + x]),
                }));
                let bias = bias.map_or(0.0, |bias| bias[channel]);
                Arch::new().dispatch(Convolve {
                    band,
                    plane,
                    taps,
                    bias,
                    activation,
                    lines,
                    places,
                });
            },
        );
    };
    // SAFETY: the planes cover all places, and each is written whole.
    unsafe { written(x.len() / input * output, write) }
}

/// The gradient of the input.
///
/// At stride 1 it is a convolution with the flipped kernel; at a larger stride the gradient is first spread
/// over the input's grid.
pub(super) fn backward_input<const KERNEL: usize>(
    grad: &[f32],
    weight: &[f32],
    geometry: Geometry,
    stride: usize,
) -> Vec<f32> {
    let turned: Vec<f32> = weight
        .chunks_exact(KERNEL * KERNEL)
        .flat_map(|kernel| kernel.iter().rev().copied())
        .collect();
    let [height, width] = geometry.output;
    let spread = [(height - 1) * stride + 1, (width - 1) * stride + 1];
    let turned_geometry = Geometry {
        input: spread,
        output: geometry.input,
        before: geometry.before.map(|before| KERNEL - 1 - before),
    };
    if stride == 1 {
        return forward::<KERNEL, 1>(grad, &turned, None, turned_geometry, Activation::Identity);
    }
    let mut values = vec![0.0; grad.len() / (height * width) * spread[0] * spread[1]];
    let planes = values.par_chunks_mut(spread[0] * spread[1]);
    planes
        .zip(grad.par_chunks(height * width))
        .for_each(|(plane, grad)| {
            let rows = plane.chunks_mut(spread[1]).step_by(stride);
            for (row, grad) in rows.zip(grad.chunks_exact(width)) {
                for (place, &value) in row.iter_mut().step_by(stride).zip(grad) {
                    *place = value;
                }
            }
        });
    forward::<KERNEL, 1>(
        &values,
        &turned,
        None,
        turned_geometry,
        Activation::Identity,
    )
}

/// The gradient of the weight, `[channels, KERNEL, KERNEL]`.
pub(super) fn backward_weight<const KERNEL: usize, const STRIDE: usize>(
    x: &[f32],
    grad: &[f32],
    channels: usize,
    geometry: Geometry,
) -> Vec<f32> {
    let [input, output] = [geometry.input, geometry.output].map(|[height, width]| height * width);
    let mut weight = vec![0.0; channels * KERNEL * KERNEL];
    // All images of a channel by one thread: the sum has one order whatever the threads.
    weight
        .par_chunks_mut(KERNEL * KERNEL)
        .enumerate()
        .for_each_init(
            || (Band::<KERNEL, STRIDE>::new(geometry), Vec::new()),
            |(band, line), (channel, weight)| {
                let mut sums = [[[0.0; LANES]; KERNEL]; KERNEL];
                let planes = x.chunks_exact(input).zip(grad.chunks_exact(output));
                for (plane, grad) in planes.skip(channel).step_by(channels) {
                    vectorised(
                        #[inline(always)]
                        || band.correlate(plane, grad, &mut sums, line),
                    );
                }
                for (weight, sums) in weight.iter_mut().zip(sums.iter().flatten()) {
                    *weight = sums.iter().sum();
                }
            },
        );
    weight
}
