//! Clamping that keeps NaN.
//!
//! On most backends Burn's own clamping takes the larger or smaller of two numbers, which replaces NaN by the
//! limit. In PyTorch NaN stays NaN, and its gradient passes.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// `max(x, least)`; NaN stays NaN.
///
/// # Shapes
///
/// - `x`, output: any
pub fn clamp_min<B: Backend, const D: usize>(x: Tensor<B, D>, least: f32) -> Tensor<B, D> {
    let is_below = x.clone().lower_elem(least);
    x.mask_fill(is_below, least)
}

/// `min(x, most)`; NaN stays NaN.
///
/// # Shapes
///
/// - `x`, output: any
pub fn clamp_max<B: Backend, const D: usize>(x: Tensor<B, D>, most: f32) -> Tensor<B, D> {
    let is_above = x.clone().greater_elem(most);
    x.mask_fill(is_above, most)
}
