//! The transforms on both sides of the products, a vector of tiles at a time.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use super::tiling::{Run, Task};
use super::{SEEN, SIDE, Scratch};
use crate::activation::Activation;
use crate::cpu::activation::apply;
use crate::cpu::sizes::Dense;
use crate::cpu::vector::every_second;

/// Maximum number of lanes of a vector on any processor.
const LANES: usize = 16;

/// Transforms the input of the tiles in every channel.
pub(super) struct Transform<'a> {
    pub(super) scratch: &'a mut Scratch,
    pub(super) dense: Dense,
    /// The images of the task.
    pub(super) planes: &'a [f32],
    pub(super) runs: &'a [Run],
}

impl WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { scratch, dense, .. } = self;
        let Dense { inputs, .. } = dense;
        let (width, product) = (scratch.width, scratch.panels * inputs + 1);
        let columns = scratch.lines.len() / (SEEN * SIDE);
        for channel in 0..inputs {
            for run in self.runs {
                let plane = run.image * inputs + channel;
                let plane = &self.planes[plane * dense.plane()..][..dense.plane()];
                see(plane, dense, run, &mut scratch.lines);
                for (from, place, length) in run.parts(width) {
                    let row = place / width * inputs + channel;
                    for done in (0..length).step_by(S::F32_LANES) {
                        let at = from + done;
                        // What is beyond the run is written by the next one, in the same panel.
                        let column = place % width + done;
                        let count = S::F32_LANES.min(width - column);
                        let values = seen(simd, &scratch.lines[at..], columns);
                        let mut first = row * width + column;
                        for value in values.as_flattened() {
                            store::<S>(&mut scratch.seen[first..first + count], *value);
                            first += product * width;
                        }
                    }
                }
            }
        }
    }
}

/// Transforms the products back, finishes them and writes them to the output.
pub(super) struct Write<'a, 'b> {
    pub(super) scratch: &'a Scratch,
    pub(super) dense: Dense,
    pub(super) task: &'a mut Task<'b>,
    pub(super) runs: &'a [Run],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) activation: Activation,
}

impl WithSimd for Write<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { scratch, task, .. } = self;
        let Dense { outputs, .. } = self.dense;
        let (width, product) = (scratch.width, scratch.panels * outputs + 1);
        let columns = self.dense.geometry.output[1];
        for channel in 0..outputs {
            let bias = simd.splat_f32s(self.bias.map_or(0.0, |bias| bias[channel]));
            for run in self.runs {
                let lines = &mut *task.rows[run.image * outputs + channel];
                let lines = &mut lines[SIDE * (run.line - task.lines.start) * columns..];
                for (from, place, length) in run.parts(width) {
                    let row = place / width * outputs + channel;
                    for done in (0..length).step_by(S::F32_LANES) {
                        // What is read beyond the part is not written.
                        let first = row * width + place % width + done;
                        let down = down(simd, &scratch.sums[first..], product * width);
                        let left = SIDE * (run.column + from + done);
                        let count = S::F32_LANES.min(length - done);
                        let end = (left + SIDE * count).min(columns);
                        for (side, line) in lines.chunks_mut(columns).take(SIDE).enumerate() {
                            let mut values = [[0.0; LANES]; SIDE];
                            let sums = summed(simd, down[side]);
                            for (values, sum) in values.iter_mut().zip(sums) {
                                let values = &mut values[..S::F32_LANES];
                                store::<S>(values, simd.add_f32s(sum, bias));
                                apply(self.activation, values);
                            }
                            interleave(&mut line[left..end], values);
                        }
                    }
                }
            }
        }
    }
}

/// The transform of the input of a vector of tiles, by lines; `lines` are `[4, 2]` of this length.
#[inline(always)]
fn seen<S: Simd>(simd: S, lines: &[f32], length: usize) -> [[S::f32s; SEEN]; SEEN] {
    let mut along = [[simd.splat_f32s(0.0); SEEN]; SEEN];
    for (line, along) in along.iter_mut().enumerate() {
        let (even, odd) = (
            &lines[SIDE * line * length..],
            &lines[(SIDE * line + 1) * length..],
        );
        let values = [
            load::<S>(even),
            load::<S>(odd),
            load::<S>(&even[1..]),
            load::<S>(&odd[1..]),
        ];
        *along = filtered(simd, values);
    }
    let [a, b, c, d] = along;
    let mut values = along;
    for column in 0..SEEN {
        let down = filtered(simd, [a[column], b[column], c[column], d[column]]);
        for line in 0..SEEN {
            values[line][column] = down[line];
        }
    }
    values
}

/// The products of a vector of tiles transformed along the columns, for both lines; `sums` are the products,
/// `length` apart.
#[inline(always)]
fn down<S: Simd>(simd: S, sums: &[f32], length: usize) -> [[S::f32s; SEEN]; SIDE] {
    let mut values = [[simd.splat_f32s(0.0); SEEN]; SIDE];
    for column in 0..SEEN {
        let mut sums_of = [simd.splat_f32s(0.0); SEEN];
        for (line, sum) in sums_of.iter_mut().enumerate() {
            *sum = load::<S>(&sums[(SEEN * line + column) * length..]);
        }
        let down = summed(simd, sums_of);
        for side in 0..SIDE {
            values[side][column] = down[side];
        }
    }
    values
}

/// The transform of the input in one direction.
#[inline(always)]
fn filtered<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; SEEN]) -> [S::f32s; SEEN] {
    [
        simd.sub_f32s(a, c),
        simd.add_f32s(b, c),
        simd.sub_f32s(c, b),
        simd.sub_f32s(b, d),
    ]
}

/// The inverse transform of products in one direction.
#[inline(always)]
fn summed<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; SEEN]) -> [S::f32s; SIDE] {
    [
        simd.add_f32s(simd.add_f32s(a, b), c),
        simd.sub_f32s(simd.sub_f32s(b, c), d),
    ]
}

#[inline(always)]
fn load<S: Simd>(values: &[f32]) -> S::f32s {
    S::as_simd_f32s(&values[..S::F32_LANES]).0[0]
}

/// Writes as many values as `places` has elements.
#[inline(always)]
fn store<S: Simd>(places: &mut [f32], values: S::f32s) {
    match places.len() == S::F32_LANES {
        true => S::as_mut_simd_f32s(places).0[0] = values,
        // Stores by a mask are slow on some processors.
        false => {
            let mut all = [0.0; LANES];
            S::as_mut_simd_f32s(&mut all).0[0] = values;
            for (place, value) in places.iter_mut().zip(all) {
                *place = value;
            }
        }
    }
}

/// Copies the input of a run in a plane, zero outside: `[4, 2, columns]`, even and odd columns.
#[inline(always)]
fn see(plane: &[f32], dense: Dense, run: &Run, lines: &mut [f32]) {
    let [height, width] = dense.geometry.input;
    let [top, left] = dense.geometry.before;
    let columns = lines.len() / (SEEN * 2);
    for (line, places) in lines.chunks_exact_mut(2 * columns).enumerate() {
        let y = (SIDE * run.line + line).wrapping_sub(top);
        for (side, places) in places.chunks_exact_mut(columns).enumerate() {
            let places = &mut places[..=run.length];
            // The column behind place `index` is `2 * index + first - left`.
            let first = SIDE * run.column + side;
            let begin = left.saturating_sub(first).div_ceil(2).min(places.len());
            let end = (width + left).saturating_sub(first).div_ceil(2);
            let end = match y < height {
                true => end.clamp(begin, places.len()),
                false => begin,
            };
            places[..begin].fill(0.0);
            places[end..].fill(0.0);
            if begin < end {
                let from = y * width + 2 * begin + first - left;
                every_second(&mut places[begin..end], &plane[from..]);
            }
        }
    }
}

/// Writes even and odd values in turn, as many as `places` has elements.
#[inline(always)]
fn interleave(places: &mut [MaybeUninit<f32>], [even, odd]: [[f32; LANES]; SIDE]) {
    let values: [f32; SIDE * LANES] = std::array::from_fn(
        #[inline(always)]
        |index| match index % SIDE {
            0 => even[index / SIDE],
            _ => odd[index / SIDE],
        },
    );
    let (blocks, rest) = places.as_chunks_mut::<LANES>();
    let (values_of, _) = values.as_chunks::<LANES>();
    for (places, values) in blocks.iter_mut().zip(values_of) {
        places.write_copy_of_slice(values);
    }
    for (place, value) in rest.iter_mut().zip(&values[LANES * blocks.len()..]) {
        place.write(*value);
    }
}
