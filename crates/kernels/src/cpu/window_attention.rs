//! Window attention: one task per window, whose heads are computed one after the other in the first-level cache.

use std::mem::MaybeUninit;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::matrix::Matrix;
use super::product::{lanes, product};
use super::softmax::{softmax_backward_row, softmax_row};
use super::storage::{tensor, written};
use super::vector::{total, vectorised};
use crate::window::Windows;
use crate::window_attention::MASKED;

/// Maximum number of partial sums of the table's gradient: enough for many threads, few enough to add up.
const PARTS: usize = 32;

/// The data that all windows share.
struct Geometry {
    windows: Windows,
    /// Index in the padded map of every position in window order.
    sources: Vec<usize>,
    regions: Vec<u8>,
    offsets: Vec<usize>,
    /// Bias of every head, `[heads, area, wide]`.
    bias: Vec<f32>,
    channels: usize,
    heads: usize,
    /// Channels of a head, and rounded up to whole vectors.
    head: usize,
    head_wide: usize,
    /// Positions of a window, and rounded up to whole vectors.
    area: usize,
    wide: usize,
}

impl Geometry {
    fn new(channels: usize, table: &FlexTensor, windows: Windows) -> Self {
        let table = table.to_contiguous();
        let heads = table.layout().shape()[1];
        let (area, head) = (windows.area(), channels / heads);
        let (wide, head_wide) = (
            area.next_multiple_of(lanes()),
            head.next_multiple_of(lanes()),
        );
        let offsets = windows.offsets();
        let table: &[f32] = table.storage();
        // Places that only fill up a vector are outweighed by every other in a softmax.
        let mut bias = vec![f32::NEG_INFINITY; heads * area * wide];
        for (at, row) in bias.chunks_exact_mut(wide).enumerate() {
            let (index, query) = (at / area, at % area);
            let offsets = &offsets[query * area..(query + 1) * area];
            for (bias, &offset) in row.iter_mut().zip(offsets) {
                *bias = table[offset * heads + index];
            }
        }
        Self {
            windows,
            sources: windows.sources(),
            regions: windows.regions(),
            offsets,
            bias,
            channels,
            heads,
            head,
            head_wide,
            area,
            wide,
        }
    }

    fn scale(&self) -> f32 {
        (self.head as f32).powf(-0.5)
    }

    /// The rows of the padded map, `[batch, height, width, 3 * channels]`, of a window.
    fn rows<'a>(&'a self, qkv: &'a [f32], window: usize) -> impl Fn(usize) -> &'a [f32] {
        let (image, window) = (window / self.windows.count(), window % self.windows.count());
        let sources = &self.sources[window * self.area..(window + 1) * self.area];
        let width = 3 * self.channels;
        let image = &qkv[image * self.sources.len() * width..];
        move |position| &image[sources[position] * width..][..width]
    }

    /// The index of a window's position in the map without padding; `None` for padding.
    fn place(&self, window: usize, position: usize) -> Option<usize> {
        let count = self.windows.count();
        let source = self.sources[window % count * self.area + position];
        let (columns, size) = (self.windows.padded()[1], self.windows.size);
        let (y, x) = (source / columns, source % columns);
        let inside = y < size[0] && x < size[1];
        inside.then(|| ((window / count) * size[0] + y) * size[1] + x)
    }

    /// The regions of a window if it has several.
    fn mixed_regions(&self, window: usize) -> Option<&[u8]> {
        let window = window % self.windows.count();
        let regions = self
            .regions
            .get(window * self.area..(window + 1) * self.area)?;
        let is_mixed = regions.iter().any(|&region| region != regions[0]);
        is_mixed.then_some(regions)
    }
}

/// Matrices of one head of one window.
struct Scratch {
    /// `[area, head_wide]`; queries are scaled.
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    /// `[head_wide, wide]`
    transposed: Vec<f32>,
    /// `[area, wide]`
    scores: Vec<f32>,
    grad_scores: Vec<f32>,
    /// `[area, head_wide]`
    grad: Vec<f32>,
    product: Vec<f32>,
}

impl Scratch {
    fn new(geometry: &Geometry) -> Self {
        let rows = || vec![0.0; geometry.area * geometry.head_wide];
        let square = || vec![0.0; geometry.area * geometry.wide];
        Self {
            query: rows(),
            key: rows(),
            value: rows(),
            transposed: vec![0.0; geometry.head_wide * geometry.wide],
            scores: square(),
            grad_scores: square(),
            grad: rows(),
            product: rows(),
        }
    }

    /// Reads queries, keys and values of a head and writes the probabilities to `scores`.
    #[inline(always)]
    fn attend<'a>(
        &mut self,
        geometry: &Geometry,
        row: &impl Fn(usize) -> &'a [f32],
        regions: Option<&[u8]>,
        head: usize,
    ) {
        let &Geometry {
            channels,
            head: size,
            head_wide,
            area,
            wide,
            ..
        } = geometry;
        let scale = geometry.scale();
        for position in 0..area {
            let row = row(position);
            let part = |index: usize| &row[index * channels + head * size..][..size];
            let place = position * head_wide..position * head_wide + size;
            for (query, &value) in self.query[place.clone()].iter_mut().zip(part(0)) {
                *query = value * scale;
            }
            self.key[place.clone()].copy_from_slice(part(1));
            self.value[place].copy_from_slice(part(2));
        }
        transpose(&self.key, &mut self.transposed, [area, head_wide, wide]);
        let query = Matrix::rows(&self.query, head_wide);
        product(
            query,
            &self.transposed,
            &mut self.scores,
            [area, size, wide],
        );
        let bias = &geometry.bias[head * area * wide..(head + 1) * area * wide];
        for (index, row) in self.scores.chunks_exact_mut(wide).enumerate() {
            for (score, &bias) in row.iter_mut().zip(&bias[index * wide..]) {
                *score += bias;
            }
            if let Some(regions) = regions {
                for (score, &region) in row.iter_mut().zip(regions) {
                    *score += if region == regions[index] {
                        0.0
                    } else {
                        MASKED
                    };
                }
            }
            softmax_row(row);
        }
    }
}

/// `[rows, columns]` to `[columns, wide]`.
#[inline(always)]
fn transpose(from: &[f32], to: &mut [f32], [rows, columns, wide]: [usize; 3]) {
    for (column, to) in to.chunks_exact_mut(wide).take(columns).enumerate() {
        for (row, to) in to[..rows].iter_mut().enumerate() {
            *to = from[row * columns + column];
        }
    }
}

/// See [`crate::window_attention`].
pub(super) fn forward(qkv: FlexTensor, table: &FlexTensor, windows: Windows) -> FlexTensor {
    let qkv = qkv.to_contiguous();
    let shape = qkv.layout().shape();
    let (batch, channels) = (shape[0], shape[3] / 3);
    let geometry = Geometry::new(channels, table, windows);
    let values: &[f32] = qkv.storage();
    let [height, width] = windows.size;
    let write = |places: &mut [MaybeUninit<f32>]| {
        let mut rows: Vec<_> = places.chunks_exact_mut(channels).map(Some).collect();
        // Every row of the output belongs to one window: each window is given its own.
        let mut targets: Vec<_> = (0..batch * geometry.sources.len())
            .map(|at| {
                let place = geometry.place(at / geometry.area, at % geometry.area);
                place.and_then(|place| rows[place].take())
            })
            .collect();
        let windows = targets.par_chunks_mut(geometry.area).enumerate();
        windows.for_each_init(
            || Scratch::new(&geometry),
            |scratch, (window, targets)| {
                vectorised(
                    #[inline(always)]
                    || attend_window(&geometry, values, window, scratch, targets),
                );
            },
        );
    };
    // SAFETY: every position of the map is one of a window, which writes it head after head.
    let output = unsafe { written(batch * height * width * channels, write) };
    tensor(output, [batch, height, width, channels])
}

#[inline(always)]
fn attend_window(
    geometry: &Geometry,
    qkv: &[f32],
    window: usize,
    scratch: &mut Scratch,
    targets: &mut [Option<&mut [MaybeUninit<f32>]>],
) {
    let &Geometry {
        head: size,
        head_wide,
        area,
        wide,
        ..
    } = geometry;
    let row = geometry.rows(qkv, window);
    let regions = geometry.mixed_regions(window);
    for head in 0..geometry.heads {
        scratch.attend(geometry, &row, regions, head);
        let probabilities = Matrix::rows(&scratch.scores, wide);
        let dimensions = [area, area, head_wide];
        product(
            probabilities,
            &scratch.value,
            &mut scratch.product,
            dimensions,
        );
        let mixed = scratch.product.chunks_exact(head_wide);
        for (target, mixed) in targets.iter_mut().zip(mixed) {
            if let Some(target) = target {
                target[head * size..(head + 1) * size].write_copy_of_slice(&mixed[..size]);
            }
        }
    }
}

/// Gradients of `qkv` and, if requested, of the table.
pub(super) fn backward(
    qkv: FlexTensor,
    table: &FlexTensor,
    grad: &FlexTensor,
    windows: Windows,
    is_table_wanted: bool,
) -> (FlexTensor, Option<FlexTensor>) {
    let (qkv, grad) = (qkv.to_contiguous(), grad.to_contiguous());
    let shape = qkv.layout().shape().clone();
    let (batch, channels) = (shape[0], shape[3] / 3);
    let geometry = Geometry::new(channels, table, windows);
    let (values, grad): (&[f32], &[f32]) = (qkv.storage(), grad.storage());
    let mut output = vec![0.0; values.len()];
    let mut rows: Vec<_> = output.chunks_exact_mut(3 * channels).map(Some).collect();
    let positions = geometry.sources.len();
    let mut targets: Vec<_> = (0..batch * positions)
        .filter_map(|at| {
            let (image, at) = (at / positions, at % positions);
            rows[image * positions + geometry.sources[at]].take()
        })
        .collect();
    let table_size = table.layout().shape().num_elements();
    // A fixed share of windows for each part, so that sums do not depend on threads.
    let count = batch * windows.count();
    let share = count.div_ceil(PARTS);
    let parts: Vec<Vec<f32>> = targets
        .par_chunks_mut(share * geometry.area)
        .enumerate()
        .map(|(part, targets)| {
            let mut scratch = Scratch::new(&geometry);
            let mut sums = vec![0.0; if is_table_wanted { table_size } else { 0 }];
            for (index, targets) in targets.chunks_mut(geometry.area).enumerate() {
                let window = part * share + index;
                vectorised(
                    #[inline(always)]
                    || {
                        backward_window(
                            &geometry,
                            values,
                            grad,
                            window,
                            &mut scratch,
                            targets,
                            &mut sums,
                        )
                    },
                );
            }
            sums
        })
        .collect();
    let grad_table =
        is_table_wanted.then(|| tensor(total(table_size, &parts), table.layout().shape().clone()));
    (tensor(output, shape), grad_table)
}

#[inline(always)]
fn backward_window(
    geometry: &Geometry,
    qkv: &[f32],
    grad: &[f32],
    window: usize,
    scratch: &mut Scratch,
    targets: &mut [&mut [f32]],
    table_sums: &mut [f32],
) {
    let &Geometry {
        channels,
        heads,
        head: size,
        head_wide,
        area,
        wide,
        ..
    } = geometry;
    let row = geometry.rows(qkv, window);
    let regions = geometry.mixed_regions(window);
    for head in 0..heads {
        scratch.attend(geometry, &row, regions, head);
        for (position, row) in scratch.grad.chunks_exact_mut(head_wide).enumerate() {
            match geometry.place(window, position) {
                Some(place) => {
                    let from = &grad[place * channels + head * size..][..size];
                    row[..size].copy_from_slice(from);
                }
                None => row.fill(0.0),
            }
        }
        let mut write = |part: usize, scale: f32, values: &[f32]| {
            for (target, values) in targets.iter_mut().zip(values.chunks_exact(head_wide)) {
                let target = &mut target[part * channels + head * size..][..size];
                for (target, &value) in target.iter_mut().zip(values) {
                    *target = value * scale;
                }
            }
        };
        // Values: the probabilities transposed by the gradient.
        let dimensions = [area, area, head_wide];
        let transposed = |values| Matrix {
            values,
            strides: [1, wide],
        };
        let probabilities = transposed(&scratch.scores);
        product(
            probabilities,
            &scratch.grad,
            &mut scratch.product,
            dimensions,
        );
        write(2, 1.0, &scratch.product);

        transpose(
            &scratch.value,
            &mut scratch.transposed,
            [area, head_wide, wide],
        );
        let outer = Matrix::rows(&scratch.grad, head_wide);
        let square = [area, size, wide];
        product(outer, &scratch.transposed, &mut scratch.grad_scores, square);
        let rows = scratch.grad_scores.chunks_exact_mut(wide);
        for (grad, output) in rows.zip(scratch.scores.chunks_exact(wide)) {
            softmax_backward_row(&mut grad[..area], &output[..area]);
        }
        if !table_sums.is_empty() {
            let rows = scratch.grad_scores.chunks_exact(wide);
            for (grad, offsets) in rows.zip(geometry.offsets.chunks_exact(area)) {
                for (&grad, &offset) in grad.iter().zip(offsets) {
                    table_sums[offset * heads + head] += grad;
                }
            }
        }
        let scores = Matrix::rows(&scratch.grad_scores, wide);
        product(scores, &scratch.key, &mut scratch.product, dimensions);
        write(0, geometry.scale(), &scratch.product);
        // The queries are scaled already.
        let scores = transposed(&scratch.grad_scores);
        product(scores, &scratch.query, &mut scratch.product, dimensions);
        write(1, 1.0, &scratch.product);
    }
}
