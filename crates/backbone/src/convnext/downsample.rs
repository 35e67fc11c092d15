//! The transition between stages.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{
    ChannelAxis, KernelBackend, Lift, channels_first, channels_last, convolution, layer_norm,
};

use super::{EPSILON, norm, normalise, patches_layer, whole_patches};
use crate::access::{Access, BlockAccess, Point};

/// Side of the kernel and its stride.
const STRIDE: usize = 2;

/// A layer norm and a convolution of 2x2 neighbours.
#[derive(Module, Debug)]
pub struct Downsample<B: Backend> {
    /// `[inputs]`
    pub norm: LayerNorm<B>,
    /// `[outputs, inputs, 2, 2]`
    pub conv: Conv2d<B>,
}

impl<B: Backend> Downsample<B> {
    pub(super) fn new(channels: [usize; 2], device: &B::Device) -> Self {
        Self {
            norm: norm(channels[0], device),
            conv: patches_layer(channels, STRIDE, device),
        }
    }
}

impl<B: KernelBackend> Downsample<B> {
    /// # Shapes
    ///
    /// - `x`: `[batch, height, width, inputs]`
    /// - output: `[batch, ceil(height / 2), ceil(width / 2), outputs]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 4>,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let normed = normalise(&self.norm, x.clone());
        let normed = access.at(Point::MergingNorm, &x, normed);
        drop(x);
        let bias = self.conv.bias.as_ref().map(Param::val);
        let output = halve(normed.clone(), self.conv.weight.val(), bias);
        access.at(Point::Merging, &normed, output)
    }

    /// The forward pass without access points, with the weights as constants of another backend: `x` has a
    /// gradient, the weights do not.
    pub fn forward_lifted<T: KernelBackend, L: Lift<B, T>>(&self, x: Tensor<T, 4>) -> Tensor<T, 4> {
        let gamma = L::lift(self.norm.gamma.val());
        let beta = match &self.norm.beta {
            Some(beta) => L::lift(beta.val()),
            None => gamma.zeros_like(),
        };
        let weight = L::lift(self.conv.weight.val());
        let bias = self.conv.bias.as_ref().map(|bias| L::lift(bias.val()));
        halve(layer_norm(x, gamma, beta, EPSILON), weight, bias)
    }
}

/// The convolution of a map with its channels last.
fn halve<B: KernelBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 4> {
    let [_, height, width, _] = x.dims();
    let x = channels_first(x, ChannelAxis::Last);
    let output = convolution(x, weight, bias, whole_patches([height, width], STRIDE));
    channels_last(output, ChannelAxis::First)
}
