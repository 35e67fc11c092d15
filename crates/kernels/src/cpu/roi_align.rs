//! Pooling of regions of interest. A region of a plane is summed vertically into a line for each row of bins,
//! and along the line into the bins.

use std::mem::MaybeUninit;

use burn::tensor::TensorMetadata;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::storage::{tensor, written};
use super::vector::vectorised;
use crate::roi_align::{Axis, Roi, RoiAlign, axes};

/// Number of bins that are summed at once.
const LANES: usize = 8;

/// The cells and weights of a region, laid out for the loops.
struct Region {
    image: usize,
    size: usize,
    down: Axis,
    /// First cell of a line in the region, and the number of cells.
    first: usize,
    length: usize,
    /// The weight of every cell in every bin of a line, `[cells, bins]`, with bins filled up to [`LANES`].
    by_cell: Vec<[f32; LANES]>,
    /// The same as `[bins, cells]`.
    by_bin: Vec<f32>,
}

impl Region {
    fn all(rois: &[Roi], size: [usize; 2], options: RoiAlign) -> Vec<Self> {
        let new = |roi: &Roi| Self::new(*roi, size, options);
        rois.par_iter().map(new).collect()
    }

    fn new(roi: Roi, size: [usize; 2], options: RoiAlign) -> Self {
        let [down, across] = axes(roi, size, options);
        let cells = across.cells();
        let length = cells.len();
        let blocks = options.size.div_ceil(LANES);
        let mut by_cell = vec![[0.0; LANES]; length * blocks];
        let mut by_bin = vec![0.0; options.size * length];
        for bin in 0..options.size {
            for (cell, share) in across.bin(bin) {
                let cell = cell - cells.start;
                by_cell[cell * blocks + bin / LANES][bin % LANES] = *share;
                by_bin[bin * length + cell] = *share;
            }
        }
        Self {
            image: roi.image,
            size: options.size,
            down,
            first: cells.start,
            length,
            by_cell,
            by_bin,
        }
    }

    /// The bins of a plane, `[size, size]`; `line` has room for a line of the plane.
    #[inline(always)]
    fn pool(&self, plane: &[f32], line: &mut [f32], bins: &mut [MaybeUninit<f32>]) {
        let width = line.len();
        let line = &mut line[..self.length];
        let blocks = self.size.div_ceil(LANES);
        for (row, bins) in bins.chunks_exact_mut(self.size).enumerate() {
            line.fill(0.0);
            for (y, share) in self.down.bin(row) {
                add(line, &plane[y * width + self.first..], *share);
            }
            for (block, bins) in bins.chunks_mut(LANES).enumerate() {
                let mut sums = [0.0; LANES];
                let shares = self.by_cell.chunks_exact(blocks);
                for (value, shares) in line.iter().zip(shares) {
                    for lane in 0..LANES {
                        sums[lane] += value * shares[block][lane];
                    }
                }
                bins.write_copy_of_slice(&sums[..bins.len()]);
            }
        }
    }

    /// Adds to the gradient of a plane, given that of its bins.
    #[inline(always)]
    fn spread(&self, bins: &[f32], line: &mut [f32], plane: &mut [f32]) {
        if self.length == 0 {
            return;
        }
        let width = line.len();
        let line = &mut line[..self.length];
        for (row, bins) in bins.chunks_exact(self.size).enumerate() {
            line.fill(0.0);
            for (bin, shares) in bins.iter().zip(self.by_bin.chunks_exact(self.length)) {
                add(line, shares, *bin);
            }
            for (y, share) in self.down.bin(row) {
                add(
                    &mut plane[y * width + self.first..][..line.len()],
                    line,
                    *share,
                );
            }
        }
    }
}

/// `to += factor * values`
#[inline(always)]
fn add(to: &mut [f32], values: &[f32], factor: f32) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += factor * value;
    }
}

/// See [`crate::roi_align`].
pub(super) fn forward(x: FlexTensor, rois: &[Roi], options: RoiAlign) -> FlexTensor {
    let x = x.to_contiguous();
    let [_, channels, height, width] = x.shape().dims();
    let regions = Region::all(rois, [height, width], options);
    let images = x.storage::<f32>();
    let (plane, bins) = (height * width, options.size * options.size);
    let write = |places: &mut [MaybeUninit<f32>]| {
        let tasks = places.par_chunks_mut(channels * bins).zip(&regions);
        tasks.for_each_init(
            || vec![0.0; width],
            |line, (places, region)| {
                let planes = &images[region.image * channels * plane..][..channels * plane];
                vectorised(
                    #[inline(always)]
                    || {
                        let planes = planes.chunks_exact(plane);
                        for (plane, bins) in planes.zip(places.chunks_exact_mut(bins)) {
                            region.pool(plane, line, bins);
                        }
                    },
                );
            },
        );
    };
    // SAFETY: the tasks cover all places, and a region writes all of its bins.
    let values = unsafe { written(rois.len() * channels * bins, write) };
    tensor(values, [rois.len(), channels, options.size, options.size])
}

/// The gradient of the map. A task is a plane, so regions add to it in the same order for any number of threads.
pub(super) fn backward(
    grad: FlexTensor,
    rois: &[Roi],
    options: RoiAlign,
    shape: [usize; 4],
) -> FlexTensor {
    let grad = grad.to_contiguous();
    let [batch, channels, height, width] = shape;
    let regions = Region::all(rois, [height, width], options);
    let grads = grad.storage::<f32>();
    let (plane, bins) = (height * width, options.size * options.size);
    let mut values = vec![0.0; batch * channels * plane];
    values.par_chunks_mut(plane).enumerate().for_each_init(
        || vec![0.0; width],
        |line, (index, plane)| {
            let (image, channel) = (index / channels, index % channels);
            for (region, grads) in regions.iter().zip(grads.chunks_exact(channels * bins)) {
                if region.image == image {
                    let grads = &grads[channel * bins..][..bins];
                    vectorised(
                        #[inline(always)]
                        || region.spread(grads, line, plane),
                    );
                }
            }
        },
    );
    tensor(values, shape)
}
