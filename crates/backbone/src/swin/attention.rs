//! Window attention with relative position bias.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use gradway_kernels::{KernelBackend, linear};

use super::window::Plan;
use crate::access::Point;

/// Multi-head self-attention inside windows (Swin, equation 4).
#[derive(Module, Debug)]
pub struct WindowAttention<B: Backend> {
    /// Channels to queries, keys and values side by side: `[channels, 3 * channels]`.
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

    /// The bias of every pair of positions, `[heads, window^2, window^2]`.
    fn position_bias(&self) -> Tensor<B, 3> {
        let table = self.relative_position_bias_table.val();
        let area = self.window * self.window;
        let index = Tensor::<B, 1, Int>::from_data(
            TensorData::new(relative_position_index(self.window), [area * area]),
            &table.device(),
        );
        table
            .select(0, index)
            .transpose()
            .reshape([self.heads, area, area])
    }
}

impl<B: KernelBackend> WindowAttention<B> {
    /// Attention inside the windows of `plan`.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[batch, height, width, channels]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 4>,
        plan: &Plan<B>,
        visit: &mut impl FnMut(Point, &Tensor<B, 4>, Tensor<B, 4>) -> Tensor<B, 4>,
    ) -> Tensor<B, 4> {
        let [batch, _, _, channels] = x.dims();
        let area = self.window * self.window;
        let count = batch * plan.windows;
        let head = channels / self.heads;

        let rows = plan.partition(x);
        let windows = rows.reshape([count, self.window, self.window, channels]);
        let qkv = linear(
            windows.clone(),
            self.qkv.weight.val(),
            self.qkv.bias.as_ref().map(Param::val),
        );
        let qkv = visit(Point::QueryKeyValue, &windows, qkv);
        drop(windows);
        let part = |index: usize| {
            qkv.clone()
                .reshape([count, area, 3, self.heads, head])
                .slice([0..count, 0..area, index..index + 1, 0..self.heads, 0..head])
                .reshape([count, area, self.heads, head])
                .swap_dims(1, 2)
        };
        let (query, key, value) = (part(0), part(1), part(2));
        drop(qkv);

        let scores = query
            .mul_scalar((head as f64).powf(-0.5))
            .matmul(key.swap_dims(2, 3));
        let bias = self.position_bias().unsqueeze::<4>();
        // Bias and mask are added as one row shared by all images: the broadcast that is fast
        // everywhere.
        let addend = match &plan.mask {
            Some(mask) => {
                let mask = mask.clone().unsqueeze_dim::<4>(1);
                bias.repeat_dim(0, plan.windows) + mask.repeat_dim(1, self.heads)
            }
            None => bias,
        };
        let period: usize = addend.shape().num_elements();
        let total = scores.shape().num_elements();
        let scores = (scores.reshape([total / period, period]) + addend.reshape([1, period]))
            .reshape([count, self.heads, area, area]);

        let mixed = softmax(scores, 3).matmul(value);
        let rows = mixed.swap_dims(1, 2).reshape([count * area, channels]);
        let rows = linear(
            rows,
            self.proj.weight.val(),
            self.proj.bias.as_ref().map(Param::val),
        );
        plan.reverse(rows, batch)
    }
}

/// For every pair of window positions, the row of the bias table that holds their offset.
fn relative_position_index(window: usize) -> Vec<i32> {
    let side = 2 * window - 1;
    let positions = || (0..window).flat_map(|y| (0..window).map(move |x| (y, x)));
    positions()
        .flat_map(|(query_y, query_x)| {
            positions().map(move |(key_y, key_x)| {
                let dy = query_y + window - 1 - key_y;
                let dx = query_x + window - 1 - key_x;
                (dy * side + dx) as i32
            })
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_positions_of_a_window_of_two() {
        // Offsets (dy, dx) + (1, 1), row-major in a 3 x 3 table; checked by hand.
        #[rustfmt::skip]
        let expected = vec![
            4, 3, 1, 0,
            5, 4, 2, 1,
            7, 6, 4, 3,
            8, 7, 5, 4,
        ];
        assert_eq!(relative_position_index(2), expected);
    }
}
