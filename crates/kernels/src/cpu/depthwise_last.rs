//! Depthwise convolution of maps with their channels last, forward and backward.
//!
//! A vector holds channels of one position. Lines of a map are copied, as many channels at once as a line of the cache
//! has, into a ring of as many lines as the kernel, with zeros around them: without the copy the positions of maps of
//! some widths would all fall into the same few places of the cache. A tile of columns stays in registers over all taps,
//! and each value is read once for all columns of the tile that see it.

use std::mem::MaybeUninit;
use std::ops::Range;

use burn::tensor::TensorMetadata;
use burn_flex::{Flex, FlexTensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::packed::Upcoming;
use super::product::lanes;
use super::storage::{contiguous, tensor, write_copy, written};
use super::vector::total;
use crate::depthwise as plain;

/// Side of the kernel.
const KERNEL: usize = 7;
/// Zeros before and behind a line.
const MARGIN: usize = KERNEL / 2;
/// Smallest and largest number of columns of a tile. With a line of the kernel and a value, eight fill the sixteen
/// registers of most processors.
const FEWEST: usize = 4;
const MOST: usize = 8;
/// Vectors of channels that are copied together, for a processor of 8 lanes: a line of its cache.
const VECTORS: usize = 2;
/// Number of bands to aim for, so that all threads have some.
const BANDS: usize = 32;
/// Smallest and largest number of rows of a band. Lines around a band are copied twice.
const ROWS: [usize; 2] = [4, 16];

/// Sizes of a map.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
}

impl Sizes {
    fn of(x: &FlexTensor) -> Self {
        let [batch, height, width, channels] = x.shape().dims();
        Self {
            batch,
            height,
            width,
            channels,
        }
    }

    fn is_empty(&self) -> bool {
        [self.batch, self.height, self.width, self.channels].contains(&0)
    }

    /// Elements of a line.
    fn line(&self) -> usize {
        self.width * self.channels
    }

    /// Vectors of the channels of a position.
    fn vectors(&self) -> usize {
        self.channels.div_ceil(lanes())
    }

    fn tiles(&self) -> usize {
        self.width.div_ceil(MOST)
    }

    /// Columns of a tile: as few as possible are beyond the line.
    fn columns(&self) -> usize {
        self.width.div_ceil(self.tiles()).max(FEWEST)
    }

    /// Columns of all tiles.
    fn tiled(&self) -> usize {
        self.tiles() * self.columns()
    }

    /// Columns of a padded line.
    fn padded(&self) -> usize {
        self.tiled() + KERNEL - 1
    }

    /// Rows of a band. They depend on nothing but the sizes, and so does the order of a sum over bands.
    fn rows(&self) -> usize {
        let [fewest, most] = ROWS;
        let wanted = (self.batch * self.height / BANDS).clamp(fewest, most);
        self.height.div_ceil(self.height.div_ceil(wanted))
    }
}

/// See [`crate::depthwise_convolution`].
pub(super) fn forward(x: FlexTensor, weight: FlexTensor, bias: Option<FlexTensor>) -> FlexTensor {
    let sizes = Sizes::of(&x);
    if weight.shape()[2] != KERNEL || sizes.is_empty() {
        return plain::forward::<Flex>(x, weight, bias);
    }
    let (x, weight) = (contiguous(x), weight.to_contiguous());
    let taps = taps(weight.storage(), sizes.channels);
    let mut biases = vec![0.0; sizes.vectors() * lanes()];
    if let Some(bias) = bias {
        let bias = bias.to_contiguous();
        biases[..sizes.channels].copy_from_slice(bias.storage());
    }
    let values: &[f32] = x.storage();
    let (image, band) = (sizes.height * sizes.line(), sizes.rows() * sizes.line());
    let write = |places: &mut [MaybeUninit<f32>]| {
        let images = places.par_chunks_mut(image).zip(values.par_chunks(image));
        let bands = images.flat_map(|(places, image)| {
            let bands = places.par_chunks_mut(band).enumerate();
            bands.map(move |(index, places)| (image, index * sizes.rows(), places))
        });
        bands.for_each_init(
            || Ring::new(sizes),
            |ring, (image, first, places)| {
                Arch::new().dispatch(Convolve {
                    sizes,
                    image,
                    rows: first..first + places.len() / sizes.line(),
                    taps: &taps,
                    biases: &biases,
                    ring,
                    places,
                });
            },
        );
    };
    // SAFETY: the bands cover all places, and each is written whole.
    let values = unsafe { written(values.len(), write) };
    tensor(values, x.shape().clone())
}

/// See [`crate::KernelBackend::depthwise_backward_weight`].
pub(super) fn backward_weight(x: FlexTensor, grad: FlexTensor, kernel: usize) -> FlexTensor {
    let sizes = Sizes::of(&x);
    if kernel != KERNEL || sizes.is_empty() {
        return plain::backward_weight::<Flex>(x, grad, kernel);
    }
    let (x, grad) = (contiguous(x), contiguous(grad));
    let (values, grads): (&[f32], &[f32]) = (x.storage(), grad.storage());
    let image = sizes.height * sizes.line();
    let bands = (0..sizes.batch).flat_map(|index| {
        let starts = (0..sizes.height).step_by(sizes.rows());
        starts.map(move |first| {
            let last = (first + sizes.rows()).min(sizes.height);
            (index * image, first..last)
        })
    });
    let bands: Vec<(usize, Range<usize>)> = bands.collect();
    let length = sizes.vectors() * KERNEL * KERNEL * lanes();
    let parts: Vec<Vec<f32>> = bands
        .into_par_iter()
        .map_init(
            || {
                let line = vec![0.0; VECTORS * sizes.tiled() * lanes()];
                (Ring::new(sizes), line)
            },
            |(ring, line), (start, rows)| {
                let mut sums = vec![0.0; length];
                Arch::new().dispatch(Correlate {
                    sizes,
                    image: &values[start..start + image],
                    grads: &grads[start..start + image],
                    rows,
                    ring,
                    line,
                    sums: &mut sums,
                });
                sums
            },
        )
        .collect();
    let sums = total(length, &parts);
    let mut weight = vec![0.0; sizes.channels * KERNEL * KERNEL];
    for (channel, taps) in weight.chunks_exact_mut(KERNEL * KERNEL).enumerate() {
        let (vector, lane) = (channel / lanes(), channel % lanes());
        let start = vector * KERNEL * KERNEL * lanes() + lane;
        for (tap, sum) in taps.iter_mut().zip(sums[start..].iter().step_by(lanes())) {
            *tap = *sum;
        }
    }
    tensor(weight, [sizes.channels, 1, KERNEL, KERNEL])
}

/// The kernels as `[vector, row, column, lane]`, with zeros beyond the channels.
fn taps(weight: &[f32], channels: usize) -> Vec<f32> {
    let lanes = lanes();
    let mut taps = vec![0.0; channels.div_ceil(lanes) * KERNEL * KERNEL * lanes];
    for (channel, weight) in weight.chunks_exact(KERNEL * KERNEL).enumerate() {
        let start = channel / lanes * KERNEL * KERNEL * lanes + channel % lanes;
        for (tap, value) in taps[start..].iter_mut().step_by(lanes).zip(weight) {
            *tap = *value;
        }
    }
    taps
}

/// The padded lines that an output row sees, of some vectors of channels: `[line, vector, column, lane]`. The line of
/// the padded row `r` is `r % KERNEL`.
struct Ring {
    sizes: Sizes,
    values: Vec<f32>,
}

impl Ring {
    fn new(sizes: Sizes) -> Self {
        Self {
            sizes,
            values: vec![0.0; KERNEL * VECTORS * sizes.padded() * lanes()],
        }
    }

    /// Copies a padded row of an image: the channels from `first` on.
    #[inline(always)]
    fn fill<S: Simd>(&mut self, simd: S, image: &[f32], row: usize, first: usize) {
        let Sizes { width, height, .. } = self.sizes;
        let (line, padded) = (self.sizes.line(), self.sizes.padded());
        let (values, _) = S::as_mut_simd_f32s(&mut self.values);
        let values = &mut values[row % KERNEL * VECTORS * padded..][..VECTORS * padded];
        let inside = row.checked_sub(MARGIN).filter(|row| *row < height);
        for (vector, values) in values.chunks_exact_mut(padded).enumerate() {
            let places = &mut values[MARGIN..MARGIN + width];
            match inside {
                Some(row) => {
                    let first = first + vector * S::F32_LANES;
                    gather(
                        simd,
                        &image[row * line..][..line],
                        self.sizes,
                        first,
                        places,
                    );
                }
                None => places.fill(simd.splat_f32s(0.0)),
            }
        }
    }

    /// Where the lines begin that an output row sees.
    #[inline(always)]
    fn lines(&self, row: usize) -> [usize; KERNEL] {
        let length = VECTORS * self.sizes.padded();
        std::array::from_fn(
            #[inline(always)]
            |y| (row + y) % KERNEL * length,
        )
    }
}

/// Copies the vectors of the channels from `first` on of a line; zeros beyond the channels.
#[inline(always)]
fn gather<S: Simd>(simd: S, line: &[f32], sizes: Sizes, first: usize, places: &mut [S::f32s]) {
    let channels = sizes.channels;
    let last = first + S::F32_LANES;
    let positions = line.chunks_exact(channels).zip(places);
    if last <= channels {
        for (position, place) in positions {
            *place = S::as_simd_f32s(&position[first..last]).0[0];
        }
    } else {
        for (position, place) in positions {
            *place = simd.partial_load_f32s(&position[first.min(channels)..]);
        }
    }
}

/// Adds products of shifted values: `sums[i] += values[i + j] * factors[j]`.
///
/// `values` has as many elements as the two others together, less one.
#[inline(always)]
fn accumulate<S: Simd, const SUMS: usize, const FACTORS: usize>(
    simd: S,
    values: &[S::f32s],
    factors: &[S::f32s; FACTORS],
    sums: &mut [S::f32s; SUMS],
) {
    /// A value, which is read once for all sums.
    #[inline(always)]
    fn add<S: Simd, const SUMS: usize, const FACTORS: usize, const PLACE: usize>(
        simd: S,
        values: &[S::f32s],
        factors: &[S::f32s; FACTORS],
        sums: &mut [S::f32s; SUMS],
    ) {
        if PLACE + 1 >= SUMS + FACTORS {
            return;
        }
        let value = values[PLACE];
        for (index, sum) in sums.iter_mut().enumerate() {
            if index <= PLACE && PLACE - index < FACTORS {
                *sum = simd.mul_add_e_f32s(value, factors[PLACE - index], *sum);
            }
        }
    }

    let values = &values[..SUMS + FACTORS - 1];
    /// Written out: a loop over the places would index registers.
    macro_rules! each {
        ($($place:literal)*) => {
            $(add::<S, SUMS, FACTORS, $place>(simd, values, factors, sums);)*
        };
    }
    const { assert!(SUMS + FACTORS <= MOST + KERNEL) };
    each!(0 1 2 3 4 5 6 7 8 9 10 11 12 13);
}

/// Runs a task with tiles of the columns that fit its map.
macro_rules! run {
    ($task:ident, $simd:ident) => {
        match $task.sizes.columns() {
            FEWEST => $task.run::<S, FEWEST>($simd),
            5 => $task.run::<S, 5>($simd),
            6 => $task.run::<S, 6>($simd),
            7 => $task.run::<S, 7>($simd),
            _ => $task.run::<S, MOST>($simd),
        }
    };
}

/// The convolution of a band of an image, with bias.
struct Convolve<'a> {
    sizes: Sizes,
    image: &'a [f32],
    rows: Range<usize>,
    /// [`taps`]
    taps: &'a [f32],
    /// `[vector, lane]`
    biases: &'a [f32],
    ring: &'a mut Ring,
    /// The rows of the output.
    places: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        run!(self, simd);
    }
}

impl Convolve<'_> {
    #[inline(always)]
    fn run<S: Simd, const COLUMNS: usize>(self, simd: S) {
        let Self {
            sizes,
            image,
            rows,
            ring,
            places,
            ..
        } = self;
        let (taps, _) = S::as_simd_f32s(self.taps);
        let (taps, _) = taps.as_chunks::<KERNEL>();
        let (biases, _) = S::as_simd_f32s(self.biases);
        let padded = sizes.padded();
        for (group, biases) in biases.chunks(VECTORS).enumerate() {
            let first = group * VECTORS * S::F32_LANES;
            for row in rows.start..rows.start + KERNEL - 1 {
                ring.fill(simd, image, row, first);
            }
            let from = Upcoming::new(image, sizes.channels).after(first);
            let to = Upcoming::new(&*places, sizes.channels).after(first);
            let lines = places.chunks_exact_mut(sizes.line());
            for (row, line) in rows.clone().zip(lines) {
                ring.fill(simd, image, row + KERNEL - 1, first);
                // What the next row reads and writes is too far apart for the processor to prefetch it by itself.
                let read = (row + KERNEL - MARGIN).min(sizes.height - 1) * sizes.width;
                from.expect(read..read + sizes.width, VECTORS * S::F32_LANES);
                let written = (row + 1 - rows.start).min(rows.len() - 1) * sizes.width;
                to.expect(written..written + sizes.width, VECTORS * S::F32_LANES);
                let seen = ring.lines(row);
                let (values, _) = S::as_simd_f32s(&ring.values);
                for (vector, &bias) in biases.iter().enumerate() {
                    let taps = &taps[(group * VECTORS + vector) * KERNEL..][..KERNEL];
                    let first = first + vector * S::F32_LANES;
                    for tile in 0..sizes.tiles() {
                        let column = tile * COLUMNS;
                        let mut sums = [bias; COLUMNS];
                        for (line, taps) in seen.iter().zip(taps) {
                            let values = &values[line + vector * padded + column..];
                            accumulate(simd, values, taps, &mut sums);
                        }
                        // By index: an iterator that ends early, over two things, is not inlined here.
                        for (index, &sum) in sums.iter().enumerate() {
                            if column + index < sizes.width {
                                let position = &mut line[(column + index) * sizes.channels..];
                                write(simd, &mut position[first..sizes.channels], sum);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Writes the lanes that are channels.
#[inline(always)]
fn write<S: Simd>(simd: S, places: &mut [MaybeUninit<f32>], vector: S::f32s) {
    if places.len() >= S::F32_LANES {
        let (places, _) = S::as_uninit_mut_simd_f32s(&mut places[..S::F32_LANES]);
        places[0].write(vector);
    } else {
        let zeros = [0.0; 16];
        let places = write_copy(places, &zeros);
        simd.partial_store_f32s(places, vector);
    }
}

/// The products of a band of an image and the gradient of its convolution, summed for every tap.
struct Correlate<'a> {
    sizes: Sizes,
    image: &'a [f32],
    /// The gradient of the whole image.
    grads: &'a [f32],
    rows: Range<usize>,
    ring: &'a mut Ring,
    /// Scratch for a line of the gradient, `[vector, column, lane]`; zeros beyond its columns.
    line: &'a mut [f32],
    /// As [`taps`].
    sums: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        run!(self, simd);
    }
}

impl Correlate<'_> {
    #[inline(always)]
    fn run<S: Simd, const COLUMNS: usize>(self, simd: S) {
        let Self {
            sizes,
            image,
            rows,
            ring,
            ..
        } = self;
        let (length, padded, tiled) = (sizes.line(), sizes.padded(), sizes.tiled());
        let (line, _) = S::as_mut_simd_f32s(self.line);
        let (sums, _) = S::as_mut_simd_f32s(self.sums);
        let (sums, _) = sums.as_chunks_mut::<KERNEL>();
        for (group, sums) in sums.chunks_mut(VECTORS * KERNEL).enumerate() {
            let first = group * VECTORS * S::F32_LANES;
            for row in rows.start..rows.start + KERNEL - 1 {
                ring.fill(simd, image, row, first);
            }
            for row in rows.clone() {
                ring.fill(simd, image, row + KERNEL - 1, first);
                let seen = ring.lines(row);
                let (values, _) = S::as_simd_f32s(&ring.values);
                let grads = &self.grads[row * length..][..length];
                let vectors = line
                    .chunks_exact_mut(tiled)
                    .zip(sums.chunks_exact_mut(KERNEL));
                for (vector, (line, sums)) in vectors.enumerate() {
                    let first = first + vector * S::F32_LANES;
                    gather(simd, grads, sizes, first, &mut line[..sizes.width]);
                    let (tiles, _) = line.as_chunks::<COLUMNS>();
                    for (start, sums) in seen.iter().zip(sums) {
                        let values = &values[start + vector * padded..][..padded];
                        let mut local = *sums;
                        for (tile, grads) in tiles.iter().enumerate() {
                            accumulate(simd, &values[tile * COLUMNS..], grads, &mut local);
                        }
                        *sums = local;
                    }
                }
            }
        }
    }
}
