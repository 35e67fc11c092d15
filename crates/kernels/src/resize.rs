//! Bilinear resizing.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Bilinear resize with half-pixel centres (`align_corners = false`), as PyTorch's `interpolate`.
///
/// Burn's own has no backward pass on CubeCL backends (CUDA, Vulkan, WebGPU, Metal, ROCm) and a
/// scalar one on Flex. Bilinear interpolation is separable, so here it is a product with a constant
/// matrix per axis: every backend multiplies matrices well, and since the matrices are constants the
/// graph keeps nothing of `x`.
///
/// # Shapes
///
/// - `x`: `[batch, channels, height, width]`
/// - output: `[batch, channels, size[0], size[1]]`
pub fn resize_bilinear<B: Backend>(x: Tensor<B, 4>, size: [usize; 2]) -> Tensor<B, 4> {
    let [batch, channels, height, width] = x.dims();
    let device = x.device();
    let maps = batch * channels;
    let x = if width == size[1] {
        x.reshape([maps, height, width])
    } else {
        let across = interpolation::<B>(width, size[1], &device).transpose();
        x.reshape([maps * height, width])
            .matmul(across)
            .reshape([maps, height, size[1]])
    };
    let x = if height == size[0] {
        x
    } else {
        interpolation::<B>(height, size[0], &device)
            .unsqueeze::<3>()
            .matmul(x)
    };
    x.reshape([batch, channels, size[0], size[1]])
}

/// The weight of every old position in every new one, `[new, old]`; positions beyond the border
/// take the border's value.
fn interpolation<B: Backend>(old: usize, new: usize, device: &B::Device) -> Tensor<B, 2> {
    let mut weights = vec![0.0; new * old];
    for (index, row) in weights.chunks_exact_mut(old).enumerate() {
        let position = (index as f64 + 0.5) * old as f64 / new as f64 - 0.5;
        let position = position.clamp(0.0, (old - 1) as f64);
        let below = position as usize;
        let share = (position - below as f64) as f32;
        row[below] += 1.0 - share;
        row[(below + 1).min(old - 1)] += share;
    }
    Tensor::from_data(TensorData::new(weights, [new, old]), device)
}
