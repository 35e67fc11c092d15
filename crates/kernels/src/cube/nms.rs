//! Non-maximum suppression: all overlaps as bits, then one sweep over them with one cube per group.

use burn::tensor::{DType, TensorMetadata};
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{cubes, dense, elementwise, empty, empty_of};
use super::nan::{is_nan, unless_nan};

/// Bits of a word.
const BITS: usize = 32;

/// NaN where a bound is.
#[cube]
fn area(bounds: &Array<f32>, at: usize) -> f32 {
    let width = bounds[at + 2] - bounds[at];
    let height = bounds[at + 3] - bounds[at + 1];
    unless_nan(width, max(width, 0.0)) * unless_nan(height, max(height, 0.0))
}

/// The later boxes that every box overlaps, as bits, `[groups, count, words]`.
#[cube(launch_unchecked)]
fn overlaps_kernel(
    bounds: &Array<f32>,
    overlaps: &mut Array<u32>,
    count: usize,
    words: usize,
    threshold: f32,
) {
    if ABSOLUTE_POS >= overlaps.len() {
        terminate!();
    }
    let first = ABSOLUTE_POS % words * comptime!(BITS);
    let row = ABSOLUTE_POS / words;
    let own = row % count;
    let group = row - own;
    let at = 4 * row;
    let mut bits = 0u32;
    for bit in 0..comptime!(BITS as u32) {
        let other = first + bit as usize;
        if other > own && other < count {
            let to = 4 * (group + other);
            let width = min(bounds[at + 2], bounds[to + 2]) - max(bounds[at], bounds[to]);
            let height = min(bounds[at + 3], bounds[to + 3]) - max(bounds[at + 1], bounds[to + 1]);
            let shared = max(width, 0.0) * max(height, 0.0);
            let all = area(bounds, at) + area(bounds, to) - shared;
            // Of no area: nothing is shared, which is not more. Nothing overlaps a rectangle with a NaN.
            if !is_nan(all) && shared > 0.0 && shared / all > threshold {
                bits |= 1u32 << bit;
            }
        }
    }
    overlaps[ABSOLUTE_POS] = bits;
}

/// Decides which boxes are kept. A unit holds one word of every row and tracks which of its boxes are
/// suppressed. It decides on the boxes of its word and tells the other units.
#[cube(launch_unchecked)]
fn sweep_kernel(overlaps: &Array<u32>, kept: &mut Array<f32>, count: usize, words: usize) {
    if CUBE_POS * count >= kept.len() {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let group = CUBE_POS * count;
    let mut shared = SharedMemory::<u32>::new(1usize);
    let mut rows = Array::<u32>::new(comptime!(BITS));
    let mut suppressed = 0u32;
    for word in 0..words {
        #[unroll]
        for bit in 0..comptime!(BITS) {
            let row = word * comptime!(BITS) + bit;
            rows[bit] = 0u32;
            if row < count && unit < words {
                rows[bit] = overlaps[(group + row) * words + unit];
            }
        }
        if unit == word {
            let mut alive = suppressed ^ 0xFFFF_FFFFu32;
            #[unroll]
            for bit in 0..comptime!(BITS) {
                if (alive >> comptime!(bit as u32)) & 1u32 == 1u32 {
                    alive &= rows[bit] ^ 0xFFFF_FFFFu32;
                }
            }
            shared[0] = alive;
        }
        sync_cube();
        let alive = shared[0];
        #[unroll]
        for bit in 0..comptime!(BITS) {
            if (alive >> comptime!(bit as u32)) & 1u32 == 1u32 {
                suppressed |= rows[bit];
            }
        }
        let row = word * comptime!(BITS) + unit;
        if unit < comptime!(BITS) && row < count {
            kept[group + row] = f32::cast_from((alive >> UNIT_POS) & 1u32);
        }
        sync_cube();
    }
}

/// The kept boxes; `None` if a cube does not have a unit for every word.
pub(super) fn forward<R: CubeRuntime>(
    bounds: &CubeTensor<R>,
    threshold: f32,
) -> Option<CubeTensor<R>> {
    let [groups, count, _] = bounds.shape().dims();
    let words = count.div_ceil(BITS);
    let units = words.next_power_of_two().max(BITS) as u32;
    let client = bounds.client.clone();
    if groups * count == 0 || units > client.properties().hardware.max_units_per_cube {
        return None;
    }
    let bounds = dense(bounds.clone());
    let kept = empty(&bounds, [groups, count]);
    let overlaps = empty_of(&bounds, [groups, count, words], DType::U32);
    let (cube_count, dim) = elementwise(&client, groups * count * words);
    // SAFETY: a unit of the first has its own word, which it checks, and reads rectangles of its group; a
    // cube of the second has its own group, which it checks.
    unsafe {
        overlaps_kernel::launch_unchecked(
            &client,
            cube_count,
            dim,
            bounds.into_array_arg(),
            overlaps.clone().into_array_arg(),
            count,
            words,
            threshold,
        );
        sweep_kernel::launch_unchecked(
            &client,
            cubes(&client, groups),
            CubeDim::new_1d(units),
            overlaps.into_array_arg(),
            kept.clone().into_array_arg(),
            count,
            words,
        );
    }
    Some(kept)
}
