//! RoIAlign. The weight of a cell in a bin is the product of one weight per axis. The backward pass tabulates
//! these weights, so each cell gathers its gradient and no two units write to the same cell.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorData, TensorMetadata};
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{cubes, dense, elementwise, empty};
use super::rows::cube_ranks;
use crate::backend::KernelBackend;
use crate::primitive::float;
use crate::roi_align::{Roi, RoiAlign};

/// Number of cells of a line, and of channels of each, of a cube of the backward pass.
const UNITS: u32 = 64;
const CHANNELS: usize = 8;

/// Numbers per region: its image, and left, top, right and bottom in pixels.
const NUMBERS: usize = 5;

/// Regions as a kernel reads them, `[regions, 5]`; NaN becomes a value far outside any map.
pub(super) fn numbers<B: KernelBackend>(rois: &[Roi], device: &B::Device) -> FloatTensor<B> {
    const FAR: f32 = 1e7;
    let place = |number: f32| {
        if number.is_nan() {
            FAR
        } else {
            number.clamp(-FAR, FAR)
        }
    };
    let row = |roi: &Roi| {
        let [left, top, right, bottom] = roi.bounds.map(place);
        [roi.image as f32, left, top, right, bottom]
    };
    let rows: Vec<f32> = rois.iter().flat_map(row).collect();
    let data = TensorData::new(rows, [rois.len(), NUMBERS]);
    float(Tensor::<B, 2>::from_data(data, device))
}

/// The start of a region on an axis and the length of a bin, in cells.
#[cube]
fn bins(
    rois: &Array<f32>,
    roi: usize,
    #[comptime] axis: usize,
    scale: f32,
    #[comptime] options: Options,
) -> (f32, f32) {
    let offset = comptime!(if options.aligned { 0.5f32 } else { 0.0f32 });
    let at = roi * comptime!(NUMBERS);
    let start = rois[at + comptime!(2 - axis)] * scale - offset;
    let mut side = rois[at + comptime!(4 - axis)] * scale - offset - start;
    if comptime!(!options.aligned) {
        side = max(side, 1.0);
    }
    (start, side / comptime!(options.size as f32))
}

/// The compile-time options of [`RoiAlign`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Options {
    size: u32,
    sampling: u32,
    aligned: bool,
}

impl From<RoiAlign> for Options {
    fn from(options: RoiAlign) -> Self {
        Self {
            size: options.size as u32,
            sampling: options.sampling as u32,
            aligned: options.aligned,
        }
    }
}

/// Number of samples of a bin along an axis of `length` cells.
#[cube]
fn samples(bin: f32, length: usize, #[comptime] options: Options) -> u32 {
    let mut count = options.sampling.runtime();
    if comptime!(options.sampling == 0) {
        // More than two samples for a cell add nothing, and a wild region may ask for any number.
        count = min(max(bin.ceil(), 0.0) as u32, 2 * length as u32 + 1);
    }
    count
}

/// The weight of a cell in a bin of a region along an axis: `[regions, size, length]`.
#[cube(launch_unchecked)]
fn shares_kernel(
    rois: &Array<f32>,
    shares: &mut Array<f32>,
    length: usize,
    scale: f32,
    #[comptime] axis: usize,
    #[comptime] options: Options,
) {
    if ABSOLUTE_POS >= shares.len() {
        terminate!();
    }
    let size = comptime!(options.size as usize);
    let cell = ABSOLUTE_POS % length;
    let index = (ABSOLUTE_POS / length) % size;
    let roi = ABSOLUTE_POS / length / size;
    let (start, bin) = bins(rois, roi, axis, scale, options);
    let count = samples(bin, length, options);
    let mut sum = 0.0f32;
    for sample in 0..count {
        let place = start + index as f32 * bin + (sample as f32 + 0.5) * bin / count as f32;
        if place >= -1.0 && place <= length as f32 {
            // Beyond the outermost cells the map goes on as it ends.
            let place = clamp(place, 0.0, (length - 1) as f32);
            sum += max(1.0 - (place - cell as f32).abs(), 0.0);
        }
    }
    shares[ABSOLUTE_POS] = sum / max(count as f32, 1.0);
}

/// One unit per bin of a region and a channel: `[regions, channels, size, size]`.
#[cube(launch_unchecked)]
fn forward_kernel(
    x: &Array<f32>,
    rois: &Array<f32>,
    down: &Array<f32>,
    across: &Array<f32>,
    output: &mut Array<f32>,
    channels: usize,
    height: usize,
    width: usize,
    scale: f32,
    #[comptime] options: Options,
) {
    if ABSOLUTE_POS >= output.len() {
        terminate!();
    }
    let size = comptime!(options.size as usize);
    let column = ABSOLUTE_POS % size;
    let row = (ABSOLUTE_POS / size) % size;
    let channel = (ABSOLUTE_POS / size / size) % channels;
    let roi = ABSOLUTE_POS / size / size / channels;
    let map = (rois[roi * comptime!(NUMBERS)] as usize * channels + channel) * height;
    let (top, bottom) = cells(rois, roi, row, height, 0usize, scale, options);
    let (left, right) = cells(rois, roi, column, width, 1usize, scale, options);
    let mut sum = 0.0f32;
    for y in top..bottom {
        let upper = down[(roi * size + row) * height + y];
        let mut line = 0.0f32;
        for cell in left..right {
            line += across[(roi * size + column) * width + cell] * x[(map + y) * width + cell];
        }
        sum += upper * line;
    }
    output[ABSOLUTE_POS] = sum;
}

/// The range of cells that a bin may read, as first and one past the last.
#[cube]
fn cells(
    rois: &Array<f32>,
    roi: usize,
    index: usize,
    length: usize,
    #[comptime] axis: usize,
    scale: f32,
    #[comptime] options: Options,
) -> (usize, usize) {
    let (start, bin) = bins(rois, roi, axis, scale, options);
    let one = start + index as f32 * bin;
    between(one, one + bin, length)
}

/// The range of cells that any bin may read.
#[cube]
fn reach(
    rois: &Array<f32>,
    roi: usize,
    length: usize,
    #[comptime] axis: usize,
    scale: f32,
    #[comptime] options: Options,
) -> (usize, usize) {
    let (start, bin) = bins(rois, roi, axis, scale, options);
    between(start, start + comptime!(options.size as f32) * bin, length)
}

#[cube]
fn between(one: f32, other: f32, length: usize) -> (usize, usize) {
    let last = (length - 1) as f32;
    // A region whose sides are the wrong way round has its bins so too.
    let first = clamp(min(one, other) - 1.0, 0.0, last);
    let end = clamp(max(one, other) + 1.0, 0.0, last);
    (first as usize, end.ceil() as usize + 1)
}

/// The gradient of some cells of a line for some channels, one cube each. The units search together for the
/// regions that reach these cells, one region per unit at a time.
#[cube(launch_unchecked)]
fn backward_kernel(
    grad: &Array<f32>,
    rois: &Array<f32>,
    down: &Array<f32>,
    across: &Array<f32>,
    output: &mut Array<f32>,
    count: usize,
    channels: usize,
    height: usize,
    width: usize,
    blocks: usize,
    groups: usize,
    cubes: usize,
    scale: f32,
    #[comptime] options: Options,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let size = comptime!(options.size as usize);
    let block = CUBE_POS % blocks;
    let row = (CUBE_POS / blocks) % height;
    let group = (CUBE_POS / blocks / height) % groups;
    let image = CUBE_POS / blocks / height / groups;
    let units = comptime!(UNITS as usize);
    let unit = UNIT_POS as usize;
    let cell = block * units + unit;
    let first = group * comptime!(CHANNELS);
    let is_inside = cell < width;
    let place = min(cell, width - 1);
    let mut sums = Array::<f32>::new(comptime!(CHANNELS));
    #[unroll]
    for channel in 0..comptime!(CHANNELS) {
        sums[channel] = 0.0;
    }
    let mut shared = SharedMemory::<u32>::new(comptime!(UNITS as usize));
    let mut found = SharedMemory::<u32>::new(comptime!(UNITS as usize));
    let mut begin = 0usize;
    while begin < count {
        let candidate = begin + unit;
        let mut reaches = 0u32;
        // Both sides of an `&&` are read.
        let known = min(candidate, count - 1);
        if candidate < count && rois[known * comptime!(NUMBERS)] as usize == image {
            let (top, bottom) = reach(rois, known, height, 0usize, scale, options);
            let (left, right) = reach(rois, known, width, 1usize, scale, options);
            if row >= top && row < bottom && left < (block + 1) * units && right > block * units {
                reaches = 1u32;
            }
        }
        let (rank, total) = cube_ranks(reaches, &mut shared, UNITS);
        if reaches == 1u32 {
            found[rank as usize] = candidate as u32;
        }
        sync_cube();
        for index in 0..total {
            let roi = found[index as usize] as usize;
            for vertical in 0..size {
                let upper = down[(roi * size + vertical) * height + row];
                if upper != 0.0 {
                    for horizontal in 0..size {
                        let share = upper * across[(roi * size + horizontal) * width + place];
                        if share != 0.0 {
                            #[unroll]
                            for channel in 0..comptime!(CHANNELS) {
                                let at = min(first + channel, channels - 1);
                                let bin = ((roi * channels + at) * size + vertical) * size;
                                sums[channel] += share * grad[bin + horizontal];
                            }
                        }
                    }
                }
            }
        }
        // Nobody may look for more before all have used these.
        sync_cube();
        begin += units;
    }
    #[unroll]
    for channel in 0..comptime!(CHANNELS) {
        if is_inside && first + channel < channels {
            output[((image * channels + first + channel) * height + row) * width + cell] =
                sums[channel];
        }
    }
}

/// The weights of all cells in all bins along both axes.
fn shares<R: CubeRuntime>(
    rois: &CubeTensor<R>,
    [height, width]: [usize; 2],
    options: RoiAlign,
) -> [CubeTensor<R>; 2] {
    let regions = rois.meta.shape()[0];
    [(0, height), (1, width)].map(|(axis, length)| {
        let shares = empty(rois, [regions, options.size, length]);
        let (count, dim) = elementwise(&rois.client, regions * options.size * length);
        // SAFETY: a unit writes its own place, which it checks.
        unsafe {
            shares_kernel::launch_unchecked(
                &rois.client,
                count,
                dim,
                rois.clone().into_array_arg(),
                shares.clone().into_array_arg(),
                length,
                options.scale,
                axis,
                options.into(),
            );
        }
        shares
    })
}

/// `rois` is `[regions, 5]`: [`NUMBERS`].
pub(super) fn forward<R: CubeRuntime>(
    x: CubeTensor<R>,
    rois: CubeTensor<R>,
    options: RoiAlign,
) -> CubeTensor<R> {
    let (x, rois) = (dense(x), dense(rois));
    let [_, channels, height, width] = x.shape().dims();
    let [down, across] = shares(&rois, [height, width], options);
    let size = options.size;
    let output = empty(&x, [rois.meta.shape()[0], channels, size, size]);
    let (count, dim) = elementwise(&x.client, output.meta.num_elements());
    // SAFETY: a unit writes its own place, which it checks, and reads inside of the map of an image
    // that the batch has.
    unsafe {
        forward_kernel::launch_unchecked(
            &x.client.clone(),
            count,
            dim,
            x.into_array_arg(),
            rois.into_array_arg(),
            down.into_array_arg(),
            across.into_array_arg(),
            output.clone().into_array_arg(),
            channels,
            height,
            width,
            options.scale,
            options.into(),
        );
    }
    output
}

/// The gradient of a map of `shape`.
pub(super) fn backward<R: CubeRuntime>(
    grad: CubeTensor<R>,
    rois: CubeTensor<R>,
    options: RoiAlign,
    [batch, channels, height, width]: [usize; 4],
) -> CubeTensor<R> {
    let (grad, rois) = (dense(grad), dense(rois));
    let [down, across] = shares(&rois, [height, width], options);
    let output = empty(&grad, [batch, channels, height, width]);
    let blocks = width.div_ceil(UNITS as usize);
    let groups = channels.div_ceil(CHANNELS);
    let count = blocks * height * groups * batch;
    let regions = rois.meta.shape()[0];
    // SAFETY: every cell and channel has one unit that writes it.
    unsafe {
        backward_kernel::launch_unchecked(
            &grad.client.clone(),
            cubes(&grad.client, count),
            CubeDim::new_1d(UNITS),
            grad.into_array_arg(),
            rois.into_array_arg(),
            down.into_array_arg(),
            across.into_array_arg(),
            output.clone().into_array_arg(),
            regions,
            channels,
            height,
            width,
            blocks,
            groups,
            count,
            options.scale,
            options.into(),
        );
    }
    output
}
