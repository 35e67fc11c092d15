//! The weight gradient of a convolution of one group: the map correlated with the output's gradient.
//!
//! The sum for an output and a tap of an input channel runs over the positions, a vector of them at a time. In
//! lines of one pitch a tap reads consecutive values from its own offset on, so nothing is copied per tap. 1x1
//! kernels read the map as it is.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::sizes::Dense;
use super::vector::{copy_strided, vectorised};

/// Approximate number of positions that a task takes at once: their gradient for a tile's outputs is half of a
/// typical first-level cache of 32 KiB.
const POSITIONS: usize = 1024;
/// Approximate number of taps of a task.
const TAPS: usize = 96;
/// Number of tasks that is enough for many threads.
const TASKS: usize = 16;
/// Outputs and taps of a tile, whose sums fill twelve registers.
const TILE: [usize; 2] = [4, 3];

/// The gradient of the weight, `[outputs, inputs * taps]`.
pub(super) fn backward_weight(x: &[f32], grad: &[f32], dense: Dense) -> Vec<f32> {
    let (positions, taps) = (dense.positions(), dense.taps());
    let image = dense.inputs * dense.plane();
    let batch = x.len() / image;
    // Tasks are channels of the input by shares of the positions: a fixed division, so that sums do
    // not depend on threads.
    let channels = (TAPS / taps).clamp(1, dense.inputs);
    let blocks = dense.inputs.div_ceil(channels);
    let unit = Padded::positions(dense);
    let per_image = positions.div_ceil(unit);
    let chunks = batch * per_image;
    let shares = TASKS.div_ceil(blocks).min(chunks);
    let share = chunks.div_ceil(shares);
    let parts: Vec<Vec<f32>> = (0..blocks * shares)
        .into_par_iter()
        .map(|task| {
            let first = task / shares * channels;
            let count = channels.min(dense.inputs - first);
            let mut sums = vec![0.0; dense.outputs * count * taps];
            let mut padded = (!dense.is_pointwise()).then(|| Padded::new(dense, count));
            let begin = task % shares * share;
            for chunk in begin..(begin + share).min(chunks) {
                let (index, start) = (chunk / per_image, chunk % per_image * unit);
                let range = start..(start + unit).min(positions);
                let planes = &x[index * image + first * dense.plane()..][..count * dense.plane()];
                let grads = &grad[index * dense.outputs * positions..][..dense.outputs * positions];
                if let Some(padded) = &mut padded {
                    padded.correlate(planes, grads, range, &mut sums);
                } else {
                    let seen: Vec<_> = rows(planes, positions, &range).collect();
                    let grads: Vec<_> = rows(grads, positions, &range).collect();
                    correlate(&grads, &seen, &mut sums);
                }
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

/// A range of every row of this length.
fn rows<'a>(
    values: &'a [f32],
    length: usize,
    range: &'a Range<usize>,
) -> impl Iterator<Item = &'a [f32]> {
    values.chunks_exact(length).map(|row| &row[range.clone()])
}

/// Some lines of a map with their padding, and of the gradient in lines of the same pitch, zero in
/// between. At a stride, columns and rows of one remainder lie together.
struct Padded {
    dense: Dense,
    /// `[channels, row remainders, column remainders, height, pitch]`
    seen: Vec<f32>,
    height: usize,
    pitch: usize,
    /// Gradients of a tile's outputs.
    grads: Vec<f32>,
}

impl Padded {
    /// Number of positions that are taken at once; whole lines if there is padding.
    fn positions(dense: Dense) -> usize {
        let [height, width] = dense.geometry.output;
        match dense.is_pointwise() {
            true => POSITIONS,
            false => (POSITIONS / width).clamp(1, height) * width,
        }
    }

    fn new(dense: Dense, channels: usize) -> Self {
        let width = dense.geometry.output[1];
        let more = (dense.kernel - 1) / dense.stride;
        let lines = Self::positions(dense) / width;
        let (height, pitch) = (lines + more, width + more);
        Self {
            dense,
            seen: vec![0.0; channels * dense.stride.pow(2) * height * pitch],
            height,
            pitch,
            grads: vec![0.0; TILE[0] * lines * pitch],
        }
    }

    /// Adds whole lines of positions to `sums`, `[outputs, taps]`.
    fn correlate(&mut self, planes: &[f32], grads: &[f32], range: Range<usize>, sums: &mut [f32]) {
        let Dense { kernel, stride, .. } = self.dense;
        let width = self.dense.geometry.output[1];
        vectorised(
            #[inline(always)]
            || self.fill(planes, range.start / width),
        );
        let length = (range.len() / width - 1) * self.pitch + width;
        let channels = self
            .seen
            .chunks_exact(stride.pow(2) * self.height * self.pitch);
        let seen: Vec<_> = channels
            .flat_map(|channel| (0..kernel.pow(2)).map(move |tap| (channel, tap)))
            .map(|(channel, tap)| {
                let (row, column) = (tap / kernel, tap % kernel);
                let plane = row % stride * stride + column % stride;
                let line = plane * self.height + row / stride;
                &channel[line * self.pitch + column / stride..][..length]
            })
            .collect();
        let positions = self.dense.positions();
        let outputs = grads.chunks(TILE[0] * positions);
        for (grads, sums) in outputs.zip(sums.chunks_mut(TILE[0] * seen.len())) {
            let lines = self.grads.len() / TILE[0];
            let places = self.grads.chunks_exact_mut(lines);
            for (places, grads) in places.zip(rows(grads, positions, &range)) {
                let lines = places.chunks_exact_mut(self.pitch);
                for (line, grads) in lines.zip(grads.chunks_exact(width)) {
                    line[..width].copy_from_slice(grads);
                }
            }
            let grads = self.grads.chunks_exact(lines).take(sums.len() / seen.len());
            let grads: Vec<_> = grads.map(|grads| &grads[..length]).collect();
            correlate(&grads, &seen, sums);
        }
    }

    /// Copies the input of the output's lines from this one on.
    #[inline(always)]
    fn fill(&mut self, planes: &[f32], first: usize) {
        let Dense {
            geometry, stride, ..
        } = self.dense;
        let ([height, width], [top, left]) = (geometry.input, geometry.before);
        let remainders = self.seen.chunks_exact_mut(self.height * self.pitch);
        for (index, lines) in remainders.enumerate() {
            let plane = &planes[index / stride.pow(2) * height * width..][..height * width];
            let [row, column] = [index / stride % stride, index % stride];
            // The first column of this remainder, and where its place is.
            let skip = (column + stride - left % stride) % stride;
            let place = (left + skip) / stride;
            for (line, places) in lines.chunks_exact_mut(self.pitch).enumerate() {
                let padded = (first + line) * stride + row;
                let Some(row) = padded.checked_sub(top).filter(|row| *row < height) else {
                    places.fill(0.0);
                    continue;
                };
                // Places of the padding are never written.
                let places = &mut places[place.min(self.pitch)..];
                let values = plane[row * width..][..width]
                    .get(skip..)
                    .unwrap_or_default();
                let count = places.len().min(values.len().div_ceil(stride));
                copy_strided(&mut places[..count], values, stride);
            }
        }
    }
}

/// Adds to `sums`, `[grads, seen]`, the products of all pairs of rows, which have one length.
fn correlate(grads: &[&[f32]], seen: &[&[f32]], sums: &mut [f32]) {
    struct Correlate<'a> {
        grads: &'a [&'a [f32]],
        seen: &'a [&'a [f32]],
        sums: &'a mut [f32],
    }

    impl WithSimd for Correlate<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let outputs = self.grads.chunks(TILE[0]);
            for (grads, sums) in outputs.zip(self.sums.chunks_mut(TILE[0] * self.seen.len())) {
                for (index, seen) in self.seen.chunks(TILE[1]).enumerate() {
                    let sums = &mut sums[index * TILE[1]..];
                    match grads.len() {
                        4 => taps::<S, 4>(simd, grads, seen, sums, self.seen.len()),
                        3 => taps::<S, 3>(simd, grads, seen, sums, self.seen.len()),
                        2 => taps::<S, 2>(simd, grads, seen, sums, self.seen.len()),
                        _ => taps::<S, 1>(simd, grads, seen, sums, self.seen.len()),
                    }
                }
            }
        }
    }

    Arch::new().dispatch(Correlate { grads, seen, sums });
}

#[inline(always)]
fn taps<S: Simd, const R: usize>(
    simd: S,
    grads: &[&[f32]],
    seen: &[&[f32]],
    sums: &mut [f32],
    columns: usize,
) {
    match seen.len() {
        3 => tile::<S, R, 3>(simd, grads, seen, sums, columns),
        2 => tile::<S, R, 2>(simd, grads, seen, sums, columns),
        _ => tile::<S, R, 1>(simd, grads, seen, sums, columns),
    }
}

/// `R` outputs and `T` taps.
#[inline(always)]
fn tile<S: Simd, const R: usize, const T: usize>(
    simd: S,
    grads: &[&[f32]],
    seen: &[&[f32]],
    result: &mut [f32],
    columns: usize,
) {
    let length = grads[0].len();
    let vectors = length / S::F32_LANES;
    let grads: [_; R] = std::array::from_fn(
        #[inline(always)]
        |row| {
            let (grads, rest) = S::as_simd_f32s(&grads[row][..length]);
            (&grads[..vectors], rest)
        },
    );
    let seen: [_; T] = std::array::from_fn(
        #[inline(always)]
        |tap| {
            let (seen, rest) = S::as_simd_f32s(&seen[tap][..length]);
            (&seen[..vectors], rest)
        },
    );
    let mut sums = [[simd.splat_f32s(0.0); T]; R];
    for index in 0..vectors {
        let seen: [S::f32s; T] = std::array::from_fn(
            #[inline(always)]
            |tap| seen[tap].0[index],
        );
        for row in 0..R {
            let grads = grads[row].0[index];
            for tap in 0..T {
                sums[row][tap] = simd.mul_add_e_f32s(grads, seen[tap], sums[row][tap]);
            }
        }
    }
    if !length.is_multiple_of(S::F32_LANES) {
        for row in 0..R {
            let grads = simd.partial_load_f32s(grads[row].1);
            for tap in 0..T {
                let seen = simd.partial_load_f32s(seen[tap].1);
                sums[row][tap] = simd.mul_add_e_f32s(grads, seen, sums[row][tap]);
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        for (tap, sum) in sums.into_iter().enumerate() {
            result[row * columns + tap] += simd.reduce_sum_f32s(sum);
        }
    }
}
