//! Bilinear resizing.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorData};

use crate::KernelBackend;
use crate::layer_norm::{float, tensor};

/// Bilinear resize with half-pixel centres (`align_corners = false`), as PyTorch's `interpolate`.
///
/// Burn's own has no backward pass on CubeCL backends (CUDA, Vulkan, WebGPU, Metal, ROCm) and a
/// scalar one on Flex. Under autodiff nothing of `x` is kept.
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

/// Bilinear interpolation is separable, so it is a product with a constant matrix per axis: every
/// backend multiplies matrices well.
pub(crate) fn forward<B: KernelBackend>(x: FloatTensor<B>, size: [usize; 2]) -> FloatTensor<B> {
    let x = tensor::<B, 4>(x);
    let [batch, channels, height, width] = x.dims();
    let device = x.device();
    let across = interpolation::<B>(width, size[1], &device).transpose();
    let down = interpolation::<B>(height, size[0], &device);
    let x = x
        .reshape([batch * channels * height, width])
        .matmul(across)
        .reshape([batch * channels, height, size[1]]);
    let x = down.unsqueeze::<3>().matmul(x);
    float(x.reshape([batch, channels, size[0], size[1]]))
}

/// The gradient of an input of `size`, `[height, width]`: the transposed products.
pub(crate) fn backward<B: KernelBackend>(grad: FloatTensor<B>, size: [usize; 2]) -> FloatTensor<B> {
    let grad = tensor::<B, 4>(grad);
    let [batch, channels, height, width] = grad.dims();
    let device = grad.device();
    let across = interpolation::<B>(size[1], width, &device);
    let down = interpolation::<B>(size[0], height, &device).transpose();
    let grad = down
        .unsqueeze::<3>()
        .matmul(grad.reshape([batch * channels, height, width]));
    let grad = grad
        .reshape([batch * channels * size[0], width])
        .matmul(across);
    float(grad.reshape([batch, channels, size[0], size[1]]))
}

/// The old positions behind a new one, and the share of the second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tap {
    pub below: usize,
    pub above: usize,
    pub share: f32,
}

impl Tap {
    /// Of every new position; positions beyond the border take the border's value.
    pub fn all(old: usize, new: usize) -> Vec<Self> {
        let tap = |index: usize| {
            let position = (index as f64 + 0.5) * old as f64 / new as f64 - 0.5;
            let position = position.clamp(0.0, (old - 1) as f64);
            let below = position as usize;
            Self {
                below,
                above: (below + 1).min(old - 1),
                share: (position - below as f64) as f32,
            }
        };
        (0..new).map(tap).collect()
    }
}

/// The weight of every old position in every new one, `[new, old]`.
fn interpolation<B: KernelBackend>(old: usize, new: usize, device: &B::Device) -> Tensor<B, 2> {
    let mut weights = vec![0.0; new * old];
    for (tap, row) in Tap::all(old, new).iter().zip(weights.chunks_exact_mut(old)) {
        row[tap.below] += 1.0 - tap.share;
        row[tap.above] += tap.share;
    }
    Tensor::from_data(TensorData::new(weights, [new, old]), device)
}
