//! The bottleneck of several methods: down projection, activation, up projection.

use burn::module::Module;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{Activation, ChannelAxis, KernelBackend};
use gradway_kernels::{bias_activation, linear, linear_activation, project_channels};

/// `W_U activation(W_D x + b_D) + b_U`; the up projection starts at zero.
#[derive(Module, Debug)]
pub struct Bottleneck<B: Backend> {
    /// `[channels, width]`
    pub down: Linear<B>,
    /// `[width, channels]`
    pub up: Linear<B>,
}

impl<B: Backend> Bottleneck<B> {
    pub(crate) fn new(channels: usize, width: usize, device: &B::Device) -> Self {
        let up = LinearConfig::new(width, channels).with_initializer(Initializer::Zeros);
        Self {
            down: LinearConfig::new(channels, width).init(device),
            up: up.init(device),
        }
    }
}

impl<B: KernelBackend> Bottleneck<B> {
    /// # Shapes
    ///
    /// - `x`, output: `[batch, height, width, channels]` or `[batch, channels, height, width]`, according to `axis`
    pub fn forward(
        &self,
        x: Tensor<B, 4>,
        axis: ChannelAxis,
        activation: Activation,
    ) -> Tensor<B, 4> {
        let projections = [&self.down, &self.up].map(|layer| {
            let bias = layer.bias.as_ref().map(|bias| bias.val());
            (layer.weight.val(), bias)
        });
        bottleneck(x, projections, axis, activation)
    }
}

/// The weight, `[inputs, outputs]`, and bias, `[outputs]`, of a projection of channels.
pub(crate) type Projection<B> = (Tensor<B, 2>, Option<Tensor<B, 1>>);

/// `W_U activation(W_D x + b_D) + b_U` with weights that may be computed from others.
pub(crate) fn bottleneck<B: KernelBackend>(
    x: Tensor<B, 4>,
    [down, up]: [Projection<B>; 2],
    axis: ChannelAxis,
    activation: Activation,
) -> Tensor<B, 4> {
    widen(narrow(x, down, axis, activation), up, axis)
}

/// `activation(W_D x + b_D)`
pub(crate) fn narrow<B: KernelBackend>(
    x: Tensor<B, 4>,
    (weight, bias): Projection<B>,
    axis: ChannelAxis,
    activation: Activation,
) -> Tensor<B, 4> {
    match axis {
        ChannelAxis::Last => linear_activation(x, weight, bias, activation),
        ChannelAxis::First => {
            bias_activation(project_channels(x, weight, None), bias, 1, activation)
        }
    }
}

/// `W_U u + b_U`
pub(crate) fn widen<B: KernelBackend>(
    u: Tensor<B, 4>,
    (weight, bias): Projection<B>,
    axis: ChannelAxis,
) -> Tensor<B, 4> {
    match axis {
        ChannelAxis::Last => linear(u, weight, bias),
        ChannelAxis::First => project_channels(u, weight, bias),
    }
}
