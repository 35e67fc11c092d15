//! Sums over rows, by a cube for each.

use cubecl::prelude::*;

/// The sum of a number of every unit of a cube, for each of them. `shared` has a place for each.
#[cube]
pub(super) fn cube_sum(value: f32, shared: &mut SharedMemory<f32>, #[comptime] units: u32) -> f32 {
    let unit = UNIT_POS;
    shared[unit as usize] = value;
    sync_cube();
    let mut span = (units / 2).runtime();
    while span > 0 {
        if unit < span {
            let other = shared[(unit + span) as usize];
            shared[unit as usize] += other;
        }
        sync_cube();
        span /= 2;
    }
    let sum = shared[0];
    // Nobody may write the next sum's numbers before all have read this one.
    sync_cube();
    sum
}
