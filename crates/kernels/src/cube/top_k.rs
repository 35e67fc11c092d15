//! The largest values of a row, one cube per row. The smallest of them is found bit by bit; all values that
//! reach it are gathered and sorted in shared memory.

use burn::tensor::{DType, TensorMetadata};
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{cubes, dense, empty, empty_of};
use super::nan::is_nan;
use super::rows::{cube_ranks, cube_sum};

/// Maximum number of values of a row.
const MOST: usize = 2048;
/// Number of units of a cube.
const UNITS: u32 = 256;

/// An integer for every number, ordered as `f32::total_cmp`. NaN of either sign is the largest.
#[cube]
fn key(x: f32) -> u32 {
    let bits = u32::reinterpret(x);
    let is_negative = bits >= 0x8000_0000u32;
    let key = bits ^ select(is_negative, 0xFFFF_FFFFu32, 0x8000_0000u32);
    select(is_nan(x), 0xFFFF_FFFFu32, key)
}

#[cube(launch_unchecked)]
fn top_kernel(
    x: &Array<f32>,
    values: &mut Array<f32>,
    places: &mut Array<i32>,
    columns: usize,
    count: usize,
    #[comptime] slots: usize,
) {
    if CUBE_POS * count >= values.len() {
        terminate!();
    }
    let units = comptime!(UNITS as usize);
    let unit = UNIT_POS as usize;
    let row = CUBE_POS * columns;
    let mut shared = SharedMemory::<u32>::new(comptime!(UNITS as usize));

    // The largest integer that `count` keys reach, two bits at a time.
    let mut least = 0u32;
    let mut shift = 32u32;
    while shift > 0 {
        shift -= 2;
        let one = least + (1u32 << shift);
        let two = least + (2u32 << shift);
        let three = least + (3u32 << shift);
        let mut reach_one = 0u32;
        let mut reach_two = 0u32;
        let mut reach_three = 0u32;
        let mut place = unit;
        while place < columns {
            let key = key(x[row + place]);
            reach_one += u32::cast_from(key >= one);
            reach_two += u32::cast_from(key >= two);
            reach_three += u32::cast_from(key >= three);
            place += units;
        }
        let reach_one = cube_sum::<u32>(reach_one, &mut shared, UNITS) as usize;
        let reach_two = cube_sum::<u32>(reach_two, &mut shared, UNITS) as usize;
        let reach_three = cube_sum::<u32>(reach_three, &mut shared, UNITS) as usize;
        if reach_three >= count {
            least = three;
        } else if reach_two >= count {
            least = two;
        } else if reach_one >= count {
            least = one;
        }
    }

    // A unit has a stretch of the row, so that equals keep their order.
    let stretch = columns.div_ceil(units);
    let begin = min(unit * stretch, columns);
    let end = min(begin + stretch, columns);
    let mut more = 0u32;
    let mut equal = 0u32;
    for place in begin..end {
        let key = key(x[row + place]);
        more += u32::cast_from(key > least);
        equal += u32::cast_from(key == least);
    }
    let (more_before, all_more) = cube_ranks(more, &mut shared, UNITS);
    let (equal_before, _) = cube_ranks(equal, &mut shared, UNITS);
    let mut keys = SharedMemory::<u32>::new(slots);
    let mut found = SharedMemory::<u32>::new(slots);
    let mut slot = unit;
    while slot < slots {
        // Behind everything.
        keys[slot] = 0u32;
        found[slot] = 0xFFFF_FFFFu32;
        slot += units;
    }
    sync_cube();
    let mut more_slot = more_before as usize;
    let mut equal_slot = (all_more + equal_before) as usize;
    for place in begin..end {
        let key = key(x[row + place]);
        if key > least {
            keys[more_slot] = key;
            found[more_slot] = place as u32;
            more_slot += 1;
        } else if key == least {
            if equal_slot < count {
                keys[equal_slot] = key;
                found[equal_slot] = place as u32;
            }
            equal_slot += 1;
        }
    }
    sync_cube();

    // Bitonic: runs of `run`, one way and the other in turn.
    let mut run = 2usize;
    while run <= slots {
        let mut stride = run / 2;
        while stride > 0 {
            let mut pair = unit;
            while pair < slots / 2 {
                let low = pair / stride * stride * 2 + pair % stride;
                let high = low + stride;
                let low_key = keys[low];
                let high_key = keys[high];
                let low_place = found[low];
                let high_place = found[high];
                let high_is_first =
                    high_key > low_key || (high_key == low_key && high_place < low_place);
                let is_downwards = low % (2 * run) < run;
                if (high_is_first && is_downwards) || (!high_is_first && !is_downwards) {
                    keys[low] = high_key;
                    keys[high] = low_key;
                    found[low] = high_place;
                    found[high] = low_place;
                }
                pair += units;
            }
            sync_cube();
            stride /= 2;
        }
        run *= 2;
    }

    let mut slot = unit;
    while slot < count {
        let place = found[slot];
        values[CUBE_POS * count + slot] = x[row + place as usize];
        places[CUBE_POS * count + slot] = place as i32;
        slot += units;
    }
}

/// The largest values and their indices; `None` if the values of a row do not fit in shared memory.
pub(super) fn forward<R: CubeRuntime>(
    x: &CubeTensor<R>,
    count: usize,
) -> Option<(CubeTensor<R>, CubeTensor<R>)> {
    let [rows, columns] = x.shape().dims();
    let hardware = &x.client.properties().hardware;
    let slots = count.next_power_of_two();
    let bytes = (2 * slots + UNITS as usize) * size_of::<u32>();
    if rows * count == 0
        || count > MOST
        || bytes > hardware.max_shared_memory_size
        || UNITS > hardware.max_units_per_cube
    {
        return None;
    }
    let x = dense(x.clone());
    let values = empty(&x, [rows, count]);
    let places = empty_of(&x, [rows, count], DType::I32);
    let client = x.client.clone();
    // SAFETY: a cube reads its own row and writes its own rows of the outputs, whose number it checks; there
    // are never more than `count` slots taken, since fewer than `count` keys are more than the least.
    unsafe {
        top_kernel::launch_unchecked(
            &client,
            cubes(&client, rows),
            CubeDim::new_1d(UNITS),
            x.into_array_arg(),
            values.clone().into_array_arg(),
            places.clone().into_array_arg(),
            columns,
            count,
            slots,
        );
    }
    Some((values, places))
}
