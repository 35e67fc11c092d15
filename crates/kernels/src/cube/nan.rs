//! NaN on cards: `max` and `min` drop it, and a shader's compiler may assume that there is none. It may thus turn
//! `select(x < 0.0, 0.0, x)` into `max(x, 0.0)` and remove `x != x`. Tests of the bits are integer arithmetic, which
//! stays as it is written.

use cubecl::prelude::*;

/// Whether a number is NaN.
#[cube]
pub(super) fn is_nan(x: f32) -> bool {
    // All bits of the exponent, and one of the mantissa.
    (u32::reinterpret(x) & 0x7FFF_FFFFu32) > 0x7F80_0000u32
}

/// What a number is limited to; NaN stays NaN.
#[cube]
pub(super) fn unless_nan(x: f32, limited: f32) -> f32 {
    select(is_nan(x), x, limited)
}
