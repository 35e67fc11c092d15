//! Patch merging: the transition between stages.

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, Linear, LinearConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, Lift, layer_norm, linear};

use super::{EPSILON, norm, normalise, pad_bottom_right};
use crate::access::{Access, BlockAccess, Point};
use crate::transformer::truncated_normal;

/// Concatenates 2x2 neighbours, normalises, and halves the channels with a linear layer, which has a bias only
/// if one was merged into it.
#[derive(Module, Debug)]
pub struct PatchMerging<B: Backend> {
    /// `[4 * channels]`
    pub norm: LayerNorm<B>,
    /// `[4 * channels, 2 * channels]`
    pub reduction: Linear<B>,
}

impl<B: Backend> PatchMerging<B> {
    pub(super) fn new(channels: usize, device: &B::Device) -> Self {
        Self {
            norm: norm(4 * channels, device),
            reduction: LinearConfig::new(4 * channels, 2 * channels)
                .with_bias(false)
                .with_initializer(truncated_normal())
                .init(device),
        }
    }
}

impl<B: Backend> PatchMerging<B> {
    /// Adds a bias of zeros to the reduction.
    pub(super) fn make_bias(&mut self) {
        let outputs = self.reduction.weight.lazy_shape()[1];
        let device = self.reduction.weight.lazy_device();
        self.reduction.bias = Some(Initializer::Zeros.init([outputs], &device));
    }
}

impl<B: KernelBackend> PatchMerging<B> {
    /// # Shapes
    ///
    /// - `x`: `[batch, height, width, channels]`
    /// - output: `[batch, ceil(height / 2), ceil(width / 2), 2 * channels]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 4>,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let gathered = gather_neighbours(x);
        let normed = normalise(&self.norm, gathered.clone());
        let normed = access.at(Point::MergingNorm, &gathered, normed);
        drop(gathered);
        let bias = self.reduction.bias.as_ref().map(Param::val);
        let output = linear(normed.clone(), self.reduction.weight.val(), bias);
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
        let weight = L::lift(self.reduction.weight.val());
        let bias = self.reduction.bias.as_ref().map(|bias| L::lift(bias.val()));
        let merged = layer_norm(gather_neighbours(x), gamma, beta, EPSILON);
        linear(merged, weight, bias)
    }
}

/// `[batch, height, width, channels]` to `[batch, height / 2, width / 2, 4 * channels]`, sides
/// rounded up; neighbours in the published order: top left, bottom left, top right, bottom right.
fn gather_neighbours<B: KernelBackend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [_, height, width, _] = x.dims();
    let x = pad_bottom_right(
        x,
        [1, 2],
        [height.next_multiple_of(2), width.next_multiple_of(2)],
    );
    let [batch, height, width, channels] = x.dims();
    let (height, width) = (height / 2, width / 2);
    // [batch, height, row, width, column, channels], then column before row in the last axis.
    x.reshape([batch, height, 2, width, 2, channels])
        .permute([0, 1, 3, 4, 2, 5])
        .reshape([batch, height, width, 4 * channels])
}
