//! Reductions over the units of a cube.

use cubecl::prelude::*;

/// The sum of one number per unit of a cube, returned to every unit. `shared` has an element per unit.
#[cube]
pub(super) fn cube_sum<N: Numeric>(
    value: N,
    shared: &mut SharedMemory<N>,
    #[comptime] units: u32,
) -> N {
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

/// The sum of the numbers of all earlier units, and the sum of all. `shared` has an element per unit.
#[cube]
pub(super) fn cube_ranks(
    value: u32,
    shared: &mut SharedMemory<u32>,
    #[comptime] units: u32,
) -> (u32, u32) {
    let unit = UNIT_POS;
    shared[unit as usize] = value;
    sync_cube();
    let mut span = 1u32;
    while span < units {
        let mut before = 0u32;
        if unit >= span {
            before = shared[(unit - span) as usize];
        }
        sync_cube();
        shared[unit as usize] += before;
        sync_cube();
        span *= 2;
    }
    let rank = shared[unit as usize] - value;
    let sum = shared[comptime!(units as usize - 1)];
    sync_cube();
    (rank, sum)
}
