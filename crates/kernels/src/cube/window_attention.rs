//! Window attention, one cube per window and head, one unit per position.
//!
//! A cube holds the keys and values of its window in shared memory. A unit passes over them once with an online
//! softmax (Milakov & Gimelshein 2018, arXiv 1805.02867), so scores are never stored.

use burn::tensor::TensorMetadata;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{cubes, dense, empty, with_type_of};
use crate::window::Windows;
use crate::window_attention::MASKED;

/// A value below any score.
const LOWEST: f32 = -1e30;

/// The compile-time sizes of a map and its windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Layout {
    side: u32,
    /// Along the height and the width.
    shift: [u32; 2],
    pad_first: bool,
    heads: u32,
    /// Channels of a head.
    depth: u32,
}

impl Layout {
    fn area(self) -> u32 {
        self.side * self.side
    }

    fn units(self) -> u32 {
        self.area().next_multiple_of(32)
    }

    fn offsets(self) -> u32 {
        (2 * self.side - 1) * (2 * self.side - 1)
    }

    /// Bytes of shared memory of the backward pass, which needs more than the forward pass.
    fn shared(self) -> usize {
        let [area, depth] = [self.area() as usize, self.depth as usize];
        4 * (2 * area * (depth + 1) + 5 * area + 2 * self.offsets() as usize)
    }
}

/// The index of a window's position in the padded map, and its region.
#[cube]
fn locate(
    window: u32,
    inner: u32,
    padded: (u32, u32),
    size: (u32, u32),
    #[comptime] layout: Layout,
) -> (u32, u32, u32) {
    let columns = padded.1 / layout.side;
    let y = (window / columns) * layout.side + inner / layout.side;
    let x = (window % columns) * layout.side + inner % layout.side;
    let mut rolled = size;
    if comptime!(layout.pad_first) {
        rolled = padded;
    }
    let is_inside = y < rolled.0 && x < rolled.1;
    let row = select(is_inside, (y + comptime!(layout.shift[0])) % rolled.0, y);
    let column = select(is_inside, (x + comptime!(layout.shift[1])) % rolled.1, x);
    let region = 3 * band(y, padded.0, comptime!(layout.shift[0]), layout)
        + band(x, padded.1, comptime!(layout.shift[1]), layout);
    (row, column, region)
}

/// The band of a rolled axis that a position belongs to.
#[cube]
fn band(at: u32, length: u32, #[comptime] shift: u32, #[comptime] layout: Layout) -> u32 {
    let last = select(at < length - shift, 1u32, 2u32);
    select(at < length - layout.side, 0u32, last)
}

/// The bias and the mask of a pair of positions.
#[cube]
fn addend(
    query: u32,
    key: u32,
    bias: &SharedMemory<f32>,
    regions: &SharedMemory<u32>,
    #[comptime] layout: Layout,
) -> f32 {
    let mut value = bias[offset(query, key, layout) as usize];
    if comptime!(layout.shift != [0, 0]) {
        value += select(
            regions[query as usize] == regions[key as usize],
            0.0,
            comptime!(MASKED),
        );
    }
    value
}

/// The row of the bias table for a pair of positions.
#[cube]
fn offset(query: u32, key: u32, #[comptime] layout: Layout) -> u32 {
    let dy = query / layout.side + layout.side - 1 - key / layout.side;
    let dx = query % layout.side + layout.side - 1 - key % layout.side;
    dy * (2 * layout.side - 1) + dx
}

/// Loads some channels of all positions of a window into shared memory, row after row.
#[cube]
fn load<F: Float>(
    from: &Array<F>,
    places: &SharedMemory<u32>,
    into: &mut SharedMemory<f32>,
    stride: usize,
    first: usize,
    #[comptime] layout: Layout,
) {
    let mut index = UNIT_POS;
    while index < layout.area() * layout.depth {
        let place = places[(index / layout.depth) as usize] as usize;
        let at = place * stride + first + (index % layout.depth) as usize;
        into[index as usize] = f32::cast_from(from[at]);
        index += layout.units();
    }
}

#[cube(launch_unchecked)]
fn forward_kernel<F: Float>(
    qkv: &Array<F>,
    table: &Array<F>,
    output: &mut Array<F>,
    padded_height: u32,
    padded_width: u32,
    height: u32,
    width: u32,
    cubes: usize,
    #[comptime] layout: Layout,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let depth = comptime!(layout.depth as usize);
    let area = comptime!(layout.area());
    let padded = (padded_height, padded_width);
    let size = (height, width);
    let count = padded.0 * padded.1 / area;
    let head = CUBE_POS as u32 % layout.heads;
    let window = (CUBE_POS as u32 / layout.heads) % count;
    let image = CUBE_POS as u32 / layout.heads / count;
    let channels = comptime!(layout.heads as usize * layout.depth as usize);
    let first = head as usize * depth;

    let mut bias = SharedMemory::<f32>::new(comptime!(layout.offsets() as usize));
    let mut places = SharedMemory::<u32>::new(comptime!(layout.area() as usize));
    let mut targets = SharedMemory::<u32>::new(comptime!(layout.area() as usize));
    let mut regions = SharedMemory::<u32>::new(comptime!(layout.area() as usize));
    let mut keys = SharedMemory::<f32>::new(comptime!(
        layout.area() as usize * (layout.depth as usize + 1)
    ));
    let mut values =
        SharedMemory::<f32>::new(comptime!(layout.area() as usize * layout.depth as usize));

    let unit = UNIT_POS;
    if unit < area {
        let (row, column, region) = locate(window, unit, padded, size, layout);
        places[unit as usize] = (image * padded.0 + row) * padded.1 + column;
        let target = (image * size.0 + row) * size.1 + column;
        let is_padding = row >= size.0 || column >= size.1;
        targets[unit as usize] = select(is_padding, comptime!(u32::MAX), target);
        regions[unit as usize] = region;
    }
    let mut index = unit;
    while index < comptime!(layout.offsets()) {
        bias[index as usize] = f32::cast_from(table[(index * layout.heads + head) as usize]);
        index += comptime!(layout.units());
    }
    sync_cube();
    let stride = 3 * channels;
    load::<F>(qkv, &places, &mut keys, stride, channels + first, layout);
    load::<F>(
        qkv,
        &places,
        &mut values,
        stride,
        2 * channels + first,
        layout,
    );
    sync_cube();

    // Units beyond the window do the last position's work and write nothing.
    let position = min(unit, area - 1);
    let scale = comptime!((layout.depth as f32).powf(-0.5));
    let mut query = Array::<f32>::new(depth);
    let mut mixed = Array::<f32>::new(depth);
    let from = places[position as usize] as usize * stride + first;
    #[unroll]
    for channel in 0..depth {
        query[channel] = f32::cast_from(qkv[from + channel]) * scale;
        mixed[channel] = 0.0;
    }
    let mut highest = LOWEST.runtime();
    let mut total = 0.0f32;
    for key in 0..area {
        let at = key as usize * depth;
        let mut score = addend(position, key, &bias, &regions, layout);
        #[unroll]
        for channel in 0..depth {
            score += query[channel] * keys[at + channel];
        }
        if score > highest {
            let fade = (highest - score).exp();
            total *= fade;
            #[unroll]
            for channel in 0..depth {
                mixed[channel] *= fade;
            }
            highest = score;
        }
        let share = (score - highest).exp();
        total += share;
        #[unroll]
        for channel in 0..depth {
            mixed[channel] += share * values[at + channel];
        }
    }
    sync_cube();
    // Through shared memory, so that neighbours write neighbours.
    if unit < area {
        #[unroll]
        for channel in 0..depth {
            keys[unit as usize * (depth + 1) + channel] = mixed[channel] / total;
        }
    }
    sync_cube();
    store::<F>(&keys, &targets, output, channels, first, layout);
}

/// Writes the rows that [`forward_kernel`] and [`backward_kernel`] leave in shared memory.
#[cube]
fn store<F: Float>(
    from: &SharedMemory<f32>,
    places: &SharedMemory<u32>,
    into: &mut Array<F>,
    stride: usize,
    first: usize,
    #[comptime] layout: Layout,
) {
    let mut index = UNIT_POS;
    while index < layout.area() * layout.depth {
        let (row, channel) = (index / layout.depth, (index % layout.depth) as usize);
        let place = places[row as usize];
        if place != comptime!(u32::MAX) {
            into[place as usize * stride + first + channel] =
                F::cast_from(from[(row * (layout.depth + 1)) as usize + channel]);
        }
        index += layout.units();
    }
}

#[cube(launch_unchecked)]
fn backward_kernel(
    qkv: &Array<f32>,
    table: &Array<f32>,
    grad: &Array<f32>,
    output: &mut Array<f32>,
    grad_table: &mut Array<f32>,
    padded_height: u32,
    padded_width: u32,
    height: u32,
    width: u32,
    cubes: usize,
    #[comptime] layout: Layout,
    #[comptime] is_table_wanted: bool,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let depth = comptime!(layout.depth as usize);
    let area = comptime!(layout.area());
    let padded = (padded_height, padded_width);
    let size = (height, width);
    let count = padded.0 * padded.1 / area;
    let head = CUBE_POS as u32 % layout.heads;
    let window = (CUBE_POS as u32 / layout.heads) % count;
    let image = CUBE_POS as u32 / layout.heads / count;
    let channels = comptime!(layout.heads as usize * layout.depth as usize);
    let first = head as usize * depth;
    let stride = 3 * channels;

    let mut bias = SharedMemory::<f32>::new(comptime!(layout.offsets() as usize));
    let mut sums = SharedMemory::<f32>::new(comptime!(layout.offsets() as usize));
    let mut places = SharedMemory::<u32>::new(comptime!(layout.area() as usize));
    let mut regions = SharedMemory::<u32>::new(comptime!(layout.area() as usize));
    let mut most = SharedMemory::<f32>::new(comptime!(layout.area() as usize));
    let mut totals = SharedMemory::<f32>::new(comptime!(layout.area() as usize));
    let mut means = SharedMemory::<f32>::new(comptime!(layout.area() as usize));
    // Keys and values, then queries and gradients, and each time what is to be written.
    let mut left = SharedMemory::<f32>::new(comptime!(
        layout.area() as usize * (layout.depth as usize + 1)
    ));
    let mut right = SharedMemory::<f32>::new(comptime!(
        layout.area() as usize * (layout.depth as usize + 1)
    ));

    let unit = UNIT_POS;
    let position = min(unit, area - 1);
    let (row, column, region) = locate(window, position, padded, size, layout);
    let is_padding = row >= size.0 || column >= size.1;
    let place = (image * padded.0 + row) * padded.1 + column;
    let target = (image * size.0 + row) * size.1 + column;
    places[position as usize] = place;
    regions[position as usize] = region;
    let mut index = unit;
    while index < comptime!(layout.offsets()) {
        bias[index as usize] = table[(index * layout.heads + head) as usize];
        sums[index as usize] = 0.0;
        index += comptime!(layout.units());
    }
    sync_cube();
    load::<f32>(qkv, &places, &mut left, stride, channels + first, layout);
    load::<f32>(
        qkv,
        &places,
        &mut right,
        stride,
        2 * channels + first,
        layout,
    );
    sync_cube();

    let scale = comptime!((layout.depth as f32).powf(-0.5));
    let mut own = Array::<f32>::new(depth);
    let mut other = Array::<f32>::new(depth);
    let mut found = Array::<f32>::new(depth);
    let from = place as usize * stride + first;
    let grad_from = select(is_padding, 0, target as usize * channels + first);
    #[unroll]
    for channel in 0..depth {
        own[channel] = qkv[from + channel] * scale;
        other[channel] = select(is_padding, 0.0, grad[grad_from + channel]);
        found[channel] = 0.0;
    }
    // A query's highest score, the sum of its shares and the mean of what they do to the loss.
    let mut highest = LOWEST.runtime();
    let mut total = 0.0f32;
    let mut weighted = 0.0f32;
    for key in 0..area {
        let at = key as usize * depth;
        let mut score = addend(position, key, &bias, &regions, layout);
        let mut along = 0.0f32;
        #[unroll]
        for channel in 0..depth {
            score += own[channel] * left[at + channel];
            along += other[channel] * right[at + channel];
        }
        let higher = max(highest, score);
        let fade = (highest - higher).exp();
        let share = (score - higher).exp();
        total = total * fade + share;
        weighted = weighted * fade + share * along;
        highest = higher;
    }
    let mean = weighted / total;
    for key in 0..area {
        let at = key as usize * depth;
        let mut score = addend(position, key, &bias, &regions, layout);
        let mut along = 0.0f32;
        #[unroll]
        for channel in 0..depth {
            score += own[channel] * left[at + channel];
            along += other[channel] * right[at + channel];
        }
        let slope = (score - highest).exp() / total * (along - mean);
        #[unroll]
        for channel in 0..depth {
            found[channel] += slope * left[at + channel];
        }
        if comptime!(is_table_wanted) {
            // For one key every query has another offset: no two units add to one place.
            if unit < area {
                sums[offset(position, key, layout) as usize] += slope;
            }
            sync_cube();
        }
    }
    most[position as usize] = highest;
    totals[position as usize] = total;
    means[position as usize] = mean;
    sync_cube();
    if unit < area {
        #[unroll]
        for channel in 0..depth {
            left[unit as usize * (depth + 1) + channel] = found[channel] * scale;
        }
    }
    sync_cube();
    store::<f32>(&left, &places, output, stride, first, layout);
    if comptime!(is_table_wanted) {
        let mut index = unit;
        while index < comptime!(layout.offsets()) {
            grad_table[CUBE_POS * comptime!(layout.offsets() as usize) + index as usize] =
                sums[index as usize];
            index += comptime!(layout.units());
        }
    }
    sync_cube();

    // As a key: queries and gradients of all positions against its own key and value.
    if unit < area {
        #[unroll]
        for channel in 0..depth {
            left[unit as usize * depth + channel] = own[channel];
            right[unit as usize * depth + channel] = other[channel];
        }
    }
    sync_cube();
    let mut grad_value = Array::<f32>::new(depth);
    #[unroll]
    for channel in 0..depth {
        own[channel] = qkv[from + channels + channel];
        other[channel] = qkv[from + 2 * channels + channel];
        found[channel] = 0.0;
        grad_value[channel] = 0.0;
    }
    for query in 0..area {
        let at = query as usize * depth;
        let mut score = addend(query, position, &bias, &regions, layout);
        let mut along = 0.0f32;
        #[unroll]
        for channel in 0..depth {
            score += own[channel] * left[at + channel];
            along += other[channel] * right[at + channel];
        }
        let share = (score - most[query as usize]).exp() / totals[query as usize];
        let slope = share * (along - means[query as usize]);
        #[unroll]
        for channel in 0..depth {
            // The queries are scaled.
            found[channel] += slope * left[at + channel];
            grad_value[channel] += share * right[at + channel];
        }
    }
    sync_cube();
    if unit < area {
        #[unroll]
        for channel in 0..depth {
            left[unit as usize * (depth + 1) + channel] = found[channel];
            right[unit as usize * (depth + 1) + channel] = grad_value[channel];
        }
    }
    sync_cube();
    store::<f32>(&left, &places, output, stride, channels + first, layout);
    store::<f32>(
        &right,
        &places,
        output,
        stride,
        2 * channels + first,
        layout,
    );
}

/// The layout of a call; `None` if no kernel for it fits the device.
pub(super) fn layout<R: CubeRuntime>(
    qkv: &CubeTensor<R>,
    table: &CubeTensor<R>,
    windows: Windows,
) -> Option<Plan> {
    let heads = table.meta.shape()[1];
    let layout = Layout {
        side: windows.side as u32,
        shift: windows.shift.map(|shift| shift as u32),
        pad_first: windows.pad_first,
        heads: heads as u32,
        depth: (qkv.meta.shape()[3] / 3 / heads) as u32,
    };
    let hardware = &qkv.client.properties().hardware;
    let fits = layout.shared() <= hardware.max_shared_memory_size
        && layout.units() <= hardware.max_units_per_cube
        && layout.depth <= 64;
    fits.then_some(Plan { layout, windows })
}

/// The arguments of a launch.
pub(super) struct Plan {
    layout: Layout,
    windows: Windows,
}

impl Plan {
    fn cubes(&self, batch: usize) -> usize {
        batch * self.windows.count() * self.layout.heads as usize
    }

    pub(super) fn forward<R: CubeRuntime>(
        &self,
        qkv: CubeTensor<R>,
        table: CubeTensor<R>,
    ) -> CubeTensor<R> {
        let (qkv, table) = (dense(qkv), dense(table));
        let [batch, height, width, triple] = qkv.shape().dims();
        let [rows, columns] = self.windows.size;
        let output = empty(&qkv, [batch, rows, columns, triple / 3]);
        let count = self.cubes(batch);
        // SAFETY: a cube reads its window and writes its positions of the map, all of which exist.
        with_type_of!(qkv, F => unsafe {
            forward_kernel::launch_unchecked::<F, R>(
                &qkv.client.clone(),
                cubes(&qkv.client, count),
                CubeDim::new_1d(self.layout.units()),
                qkv.into_array_arg(),
                table.into_array_arg(),
                output.clone().into_array_arg(),
                height as u32,
                width as u32,
                rows as u32,
                columns as u32,
                count,
                self.layout,
            );
        });
        output
    }

    /// The gradient of `qkv`, and the contribution of every window to the gradient of the table, `[windows,
    /// heads, offsets]`.
    pub(super) fn backward<R: CubeRuntime>(
        &self,
        qkv: CubeTensor<R>,
        table: CubeTensor<R>,
        grad: CubeTensor<R>,
        is_table_wanted: bool,
    ) -> (CubeTensor<R>, CubeTensor<R>) {
        let (qkv, table, grad) = (dense(qkv), dense(table), dense(grad));
        let [batch, height, width, triple] = qkv.shape().dims();
        let [rows, columns] = self.windows.size;
        let output = empty(&qkv, [batch, height, width, triple]);
        let count = self.cubes(batch);
        let heads = self.layout.heads as usize;
        let offsets = if is_table_wanted {
            self.layout.offsets() as usize
        } else {
            1
        };
        let grad_table = empty(&qkv, [count / heads, heads, offsets]);
        // SAFETY: as in `forward`; every position of the padded map belongs to one window.
        unsafe {
            backward_kernel::launch_unchecked(
                &qkv.client.clone(),
                cubes(&qkv.client, count),
                CubeDim::new_1d(self.layout.units()),
                qkv.into_array_arg(),
                table.into_array_arg(),
                grad.into_array_arg(),
                output.clone().into_array_arg(),
                grad_table.clone().into_array_arg(),
                height as u32,
                width as u32,
                rows as u32,
                columns as u32,
                count,
                self.layout,
                is_table_wanted,
            );
        }
        (output, grad_table)
    }
}
