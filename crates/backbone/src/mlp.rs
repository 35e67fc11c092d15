//! The MLP of a block: two linear layers with GELU between them.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, feed_forward, gelu, linear};

use crate::access::{Access, BlockAccess, Point};
use crate::transformer::linear_layer;

/// Two linear layers with GELU between them.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    /// `[channels, hidden]`
    pub fc1: Linear<B>,
    /// `[hidden, channels]`
    pub fc2: Linear<B>,
}

impl<B: Backend> Mlp<B> {
    pub(crate) fn new(channels: usize, hidden: usize, device: &B::Device) -> Self {
        Self {
            fc1: linear_layer(channels, hidden, device),
            fc2: linear_layer(hidden, channels, device),
        }
    }

    /// Number of channels between the layers.
    pub(crate) fn hidden(&self) -> usize {
        self.fc1.weight.lazy_shape()[1]
    }
}

impl<B: KernelBackend> Mlp<B> {
    /// The weights and biases of both layers.
    pub(crate) fn layers(&self) -> [(Tensor<B, 2>, Option<Tensor<B, 1>>); 2] {
        [&self.fc1, &self.fc2].map(|layer| {
            let bias = layer.bias.as_ref().map(Param::val);
            (layer.weight.val(), bias)
        })
    }

    /// # Shapes
    ///
    /// - `x`, output: `[batch, height, width, channels]`
    pub(crate) fn forward(
        &self,
        x: Tensor<B, 4>,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let layers = self.layers();
        if !access.reads_mlp() {
            return feed_forward(x, layers);
        }
        let [(first, first_bias), (second, second_bias)] = layers;
        let wide = linear(x.clone(), first, first_bias);
        let wide = gelu(access.at(Point::MlpIn, &x, wide));
        let output = linear(wide.clone(), second, second_bias);
        access.at(Point::MlpOut, &wide, output)
    }
}
