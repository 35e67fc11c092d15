//! A ConvNeXt block.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, PaddingConfig2d};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, add, depthwise_convolution};

use super::{convolution_layer, norm, normalise, of_convolution};
use crate::access::{Access, BlockAccess, Point};
use crate::drop_path::DropPath;
use crate::layer_scale::LayerScale;
use crate::mlp::Mlp;
use crate::operation::Operation;

/// Side of the depthwise kernel.
const KERNEL: usize = 7;
/// Ratio of the hidden channels of the MLP to its channels.
const EXPANSION: usize = 4;
/// The scale of a branch before training.
const SCALE: f64 = 1e-6;

/// A ConvNeXt block (ConvNeXt, figure 4): `x + ls(mlp(norm(conv_dw(x))))`.
#[derive(Module, Debug)]
pub struct ConvNextBlock<B: Backend> {
    /// `[channels, 1, 7, 7]`
    pub conv_dw: Conv2d<B>,
    /// `[channels]`
    pub norm: LayerNorm<B>,
    /// From `channels` to four times as many and back.
    pub mlp: Mlp<B>,
    /// Scale of the branch.
    pub ls: LayerScale<B>,
    /// Probability of dropping the branch for an image in training.
    pub drop_path: f64,
}

impl<B: Backend> ConvNextBlock<B> {
    pub(super) fn new(channels: usize, drop_path: f64, device: &B::Device) -> Self {
        let depthwise = Conv2dConfig::new([channels; 2], [KERNEL; 2])
            .with_groups(channels)
            .with_padding(PaddingConfig2d::Same);
        Self {
            conv_dw: convolution_layer(depthwise, device),
            norm: norm(channels, device),
            mlp: Mlp::new(channels, EXPANSION * channels, device),
            ls: LayerScale::new(channels, SCALE, device),
            drop_path,
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.norm.gamma.lazy_shape()[0]
    }

    /// Returns the operation whose output is at an access point of the block.
    pub(super) fn operation(&mut self, point: Point) -> Option<Operation<'_, B>> {
        match point {
            Point::Depthwise => Some(of_convolution(&mut self.conv_dw)),
            Point::MlpNorm => Some(Operation::Norm(&mut self.norm)),
            Point::MlpIn => Some(Operation::Linear(&mut self.mlp.fc1)),
            Point::MlpOut => Some(Operation::Linear(&mut self.mlp.fc2)),
            _ => None,
        }
    }
}

impl<B: KernelBackend> ConvNextBlock<B> {
    /// # Shapes
    ///
    /// - `x`, output: `[batch, height, width, channels]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 4>,
        drop_path: &mut DropPath,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let bias = self.conv_dw.bias.as_ref().map(Param::val);
        let mixed = depthwise_convolution(x.clone(), self.conv_dw.weight.val(), bias);
        let mixed = access.at(Point::Depthwise, &x, mixed);
        let normed = normalise(&self.norm, mixed.clone());
        let normed = access.at(Point::MlpNorm, &mixed, normed);
        drop(mixed);
        let branch = self.ls.forward(self.mlp.forward(normed, access));
        let branch = access.at(Point::Convolution, &x, branch);
        let output = add(drop_path.apply(branch, self.drop_path), x.clone());
        access.at(Point::Block, &x, output)
    }
}
