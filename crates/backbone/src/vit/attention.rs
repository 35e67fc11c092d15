//! Attention among all tokens.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, Rotations, linear};

use super::VitConfig;
use crate::access::{Access, BlockAccess, Point};
use crate::transformer::linear_layer;

/// Multi-head self-attention (Vaswani et al. 2017, section 3.2.2).
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// Projection to queries, keys and values, `[channels, 3 * channels]`.
    pub qkv: Linear<B>,
    /// `[channels, channels]`
    pub proj: Linear<B>,
    /// Number of heads.
    pub heads: usize,
}

impl<B: Backend> Attention<B> {
    pub(super) fn new(config: &VitConfig, device: &B::Device) -> Self {
        let mut qkv = linear_layer(config.channels, 3 * config.channels, device);
        if !config.qkv_bias {
            qkv.bias = None;
        }
        Self {
            qkv,
            proj: linear_layer(config.channels, config.channels, device),
            heads: config.heads,
        }
    }
}

impl<B: KernelBackend> Attention<B> {
    /// # Shapes
    ///
    /// - `x`, output: `[batch, 1, tokens, channels]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 4>,
        rotations: Option<&Rotations<B>>,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let bias = |layer: &Linear<B>| layer.bias.as_ref().map(Param::val);
        let qkv = linear(x.clone(), self.qkv.weight.val(), bias(&self.qkv));
        let qkv = access.at(Point::QueryKeyValue, &x, qkv);
        drop(x);
        let tokens = qkv.squeeze_dim::<3>(1);
        let mixed = access.attend_globally(tokens, self.heads, rotations.cloned());
        let mixed = mixed.unsqueeze_dim::<4>(1);
        let output = linear(mixed.clone(), self.proj.weight.val(), bias(&self.proj));
        access.at(Point::Projection, &mixed, output)
    }
}
