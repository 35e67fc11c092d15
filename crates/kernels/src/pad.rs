//! Padding with zeros.

use std::array;
use std::ops::Range;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Pads each axis of a map with zeros before and after. The result has the element type of the map, where
/// Burn's own padding has the backend's default type.
pub fn pad<B: Backend>(x: Tensor<B, 4>, padding: [(usize, usize); 4]) -> Tensor<B, 4> {
    if padding == [(0, 0); 4] {
        return x;
    }
    let size = x.dims();
    let padded: [usize; 4] = array::from_fn(|axis| {
        let (before, behind) = padding[axis];
        before + size[axis] + behind
    });
    let place: [Range<usize>; 4] = array::from_fn(|axis| {
        let (before, _) = padding[axis];
        before..before + size[axis]
    });
    let zeros = Tensor::zeros(padded, (&x.device(), x.dtype()));
    zeros.slice_assign(place, x)
}
