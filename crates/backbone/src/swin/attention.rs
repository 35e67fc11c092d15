//! Window attention with relative position bias.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, Windows, linear};

use super::pad_bottom_right;
use crate::access::{Access, BlockAccess, Point};

/// Multi-head self-attention inside windows (Swin, equation 4).
#[derive(Module, Debug)]
pub struct WindowAttention<B: Backend> {
    /// Projection to queries, keys and values, `[channels, 3 * channels]`.
    pub qkv: Linear<B>,
    /// `[channels, channels]`
    pub proj: Linear<B>,
    /// Bias of every relative offset and head: `[(2 * window - 1)^2, heads]`.
    pub relative_position_bias_table: Param<Tensor<B, 2>>,
    /// Number of heads.
    pub heads: usize,
    /// Side of the window.
    pub window: usize,
}

impl<B: Backend> WindowAttention<B> {
    pub(super) fn new(channels: usize, heads: usize, window: usize, device: &B::Device) -> Self {
        assert_eq!(channels % heads, 0, "channels are a multiple of heads");
        let offsets = (2 * window - 1) * (2 * window - 1);
        Self {
            qkv: linear_layer(channels, 3 * channels, device),
            proj: linear_layer(channels, channels, device),
            relative_position_bias_table: truncated_normal().init([offsets, heads], device),
            heads,
            window,
        }
    }
}

impl<B: KernelBackend> WindowAttention<B> {
    /// Attention inside windows, optionally shifted by half their side, but not along an axis whose side fits in one
    /// window.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[batch, height, width, channels]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 4>,
        is_shifted: bool,
        pad_first: bool,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let [_, height, width, _] = x.dims();
        let windows = Windows {
            side: self.window,
            shift: [height, width].map(|side| match is_shifted && side > self.window {
                true => self.window / 2,
                false => 0,
            }),
            size: [height, width],
            pad_first,
        };
        let x = pad_bottom_right(x, [1, 2], windows.padded());
        let bias = |layer: &Linear<B>| layer.bias.as_ref().map(Param::val);
        let qkv = linear(x.clone(), self.qkv.weight.val(), bias(&self.qkv));
        let qkv = access.at(Point::QueryKeyValue, &x, qkv);
        drop(x);
        let table = self.relative_position_bias_table.val();
        let mixed = access.attend(qkv, table, windows);
        let output = linear(mixed.clone(), self.proj.weight.val(), bias(&self.proj));
        access.at(Point::Projection, &mixed, output)
    }
}

/// The initialisation of Swin's weights.
pub(super) fn truncated_normal() -> Initializer {
    Initializer::Normal {
        mean: 0.0,
        std: 0.02,
    }
}

/// A linear layer with Swin's initialisation.
pub(super) fn linear_layer<B: Backend>(
    inputs: usize,
    outputs: usize,
    device: &B::Device,
) -> Linear<B> {
    let mut layer = LinearConfig::new(inputs, outputs)
        .with_initializer(truncated_normal())
        .init(device);
    layer.bias = Some(Initializer::Zeros.init([outputs], device));
    layer
}
