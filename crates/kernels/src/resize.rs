//! Bilinear resizing.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorData};

use crate::KernelBackend;
use crate::linear::linear;
use crate::primitive::{float, tensor};

/// Bilinear resize with half-pixel centres (`align_corners = false`), as PyTorch's `interpolate`.
///
/// Burn's own has no backward pass on CubeCL backends (CUDA, Vulkan, WebGPU, Metal, ROCm) and a scalar one on
/// Flex. Under autodiff nothing is kept.
///
/// # Shapes
///
/// - `x`: `[batch, channels, height, width]`
/// - output: `[batch, channels, size[0], size[1]]`
pub fn resize_bilinear<B: KernelBackend>(x: Tensor<B, 4>, size: [usize; 2]) -> Tensor<B, 4> {
    let [_, _, height, width] = x.dims();
    if [height, width] == size {
        return x;
    }
    tensor(B::resize_bilinear(float(x), size))
}

/// Bilinear resize that keeps the corners in their places (`align_corners = true`), as PyTorch's `interpolate`.
///
/// For networks that are published with it. The corners of a map and of its enlargement are the same positions, so
/// that the distance between positions depends on the size of the map; [`resize_bilinear`] has no such dependence.
/// Under autodiff `x` is not kept.
///
/// # Shapes
///
/// - `x`: `[batch, channels, height, width]`
/// - output: `[batch, channels, size[0], size[1]]`
pub fn resize_bilinear_aligned<B: KernelBackend>(
    x: Tensor<B, 4>,
    size: [usize; 2],
) -> Tensor<B, 4> {
    let [batch, channels, height, width] = x.dims();
    let device = x.device();
    let matrix = |old, new| matrix::<B>([old, new], &Tap::aligned(old, new), &device);
    let across = matrix(width, size[1]).map(Tensor::transpose);
    let down = matrix(height, size[0]);
    let x = times(x.reshape([batch * channels, height, width]), across);
    down_times(down, x).reshape([batch, channels, size[0], size[1]])
}

/// Resizes by a product with a constant matrix per axis, since bilinear interpolation is separable and every
/// backend multiplies matrices well.
pub(crate) fn forward<B: KernelBackend>(x: FloatTensor<B>, size: [usize; 2]) -> FloatTensor<B> {
    let x = tensor::<B, 4>(x);
    let [batch, channels, height, width] = x.dims();
    let device = x.device();
    let across = interpolation::<B>(width, size[1], &device).map(Tensor::transpose);
    let down = interpolation::<B>(height, size[0], &device);
    let x = times(x.reshape([batch * channels, height, width]), across);
    let x = down_times(down, x);
    float(x.reshape([batch, channels, size[0], size[1]]))
}

/// The gradient of an input of `size`, `[height, width]`, by the transposed products.
pub(crate) fn backward<B: KernelBackend>(grad: FloatTensor<B>, size: [usize; 2]) -> FloatTensor<B> {
    let grad = tensor::<B, 4>(grad);
    let [batch, channels, height, width] = grad.dims();
    let device = grad.device();
    let across = interpolation::<B>(size[1], width, &device);
    let down = interpolation::<B>(size[0], height, &device).map(Tensor::transpose);
    let grad = down_times(down, grad.reshape([batch * channels, height, width]));
    let grad = times(grad, across);
    float(grad.reshape([batch, channels, size[0], size[1]]))
}

/// The two old positions that a new position is interpolated from, and the weight of the second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tap {
    pub below: usize,
    pub above: usize,
    pub share: f32,
}

impl Tap {
    /// The taps of every new position; positions beyond the border take the border's value.
    pub fn all(old: usize, new: usize) -> Vec<Self> {
        let position = |index| (index as f64 + 0.5) * old as f64 / new as f64 - 0.5;
        (0..new)
            .map(|index| Self::at(position(index), old))
            .collect()
    }

    /// The taps of every new position, the first and the last of which are the old ones.
    fn aligned(old: usize, new: usize) -> Vec<Self> {
        let step = (old - 1) as f64 / new.saturating_sub(1).max(1) as f64;
        (0..new)
            .map(|index| Self::at(index as f64 * step, old))
            .collect()
    }

    fn at(position: f64, old: usize) -> Self {
        let position = position.clamp(0.0, (old - 1) as f64);
        let below = position as usize;
        Self {
            below,
            above: (below + 1).min(old - 1),
            share: (position - below as f64) as f32,
        }
    }
}

/// `x matrix` over the last axis of `[maps, height, width]`, as one product of all rows.
fn times<B: KernelBackend>(x: Tensor<B, 3>, matrix: Option<Tensor<B, 2>>) -> Tensor<B, 3> {
    match matrix {
        Some(matrix) => linear(x, matrix, None),
        None => x,
    }
}

/// `matrix x` for every map of `[maps, height, width]`.
fn down_times<B: KernelBackend>(matrix: Option<Tensor<B, 2>>, x: Tensor<B, 3>) -> Tensor<B, 3> {
    match matrix {
        Some(matrix) => matrix.unsqueeze::<3>().matmul(x),
        None => x,
    }
}

/// The weight of every old position in every new one, `[new, old]`; `None` if the size does not change.
fn interpolation<B: KernelBackend>(
    old: usize,
    new: usize,
    device: &B::Device,
) -> Option<Tensor<B, 2>> {
    matrix([old, new], &Tap::all(old, new), device)
}

/// As [`interpolation`], for any taps of the new positions.
fn matrix<B: KernelBackend>(
    [old, new]: [usize; 2],
    taps: &[Tap],
    device: &B::Device,
) -> Option<Tensor<B, 2>> {
    if old == new {
        return None;
    }
    let mut weights = vec![0.0; new * old];
    for (tap, row) in taps.iter().zip(weights.chunks_exact_mut(old)) {
        row[tap.below] += 1.0 - tap.share;
        row[tap.above] += tap.share;
    }
    let weights = TensorData::new(weights, [new, old]);
    Some(Tensor::from_data(weights, device))
}
