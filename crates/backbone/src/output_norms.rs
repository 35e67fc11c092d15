//! The layer norms between a backbone and a neck.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{ChannelAxis, KernelBackend, layer_norm};

use crate::description::Description;

const EPSILON: f64 = 1e-5;

/// One layer norm over the channels of every stage output, as the detection Swin has them.
///
/// EfficientNet has no such norms of its own; it gets the same ones, so that every method joins the
/// neck in the same way. That is an extension of ours.
#[derive(Module, Debug)]
pub struct OutputNorms<B: Backend> {
    /// One per stage, `[channels]`.
    pub norms: Vec<LayerNorm<B>>,
}

impl<B: Backend> OutputNorms<B> {
    /// Norms of scale 1 and shift 0 for the stages of a backbone.
    pub fn new(description: &Description, device: &B::Device) -> Self {
        let norms = description
            .stage_channels()
            .into_iter()
            .map(|channels| {
                LayerNormConfig::new(channels)
                    .with_epsilon(EPSILON)
                    .init(device)
            })
            .collect();
        Self { norms }
    }
}

impl<B: KernelBackend> OutputNorms<B> {
    /// Normalises the outputs of all stages; see [`OutputNorms::forward`].
    pub fn forward_all(&self, outputs: Vec<Tensor<B, 4>>, axis: ChannelAxis) -> Vec<Tensor<B, 4>> {
        let outputs = outputs.into_iter().enumerate();
        outputs
            .map(|(stage, output)| self.forward(stage, output, axis))
            .collect()
    }

    /// Normalises the output of one stage.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, height, width, channels]` or `[batch, channels, height, width]`, as `axis`
    ///   says
    /// - output: `[batch, channels, height, width]`
    pub fn forward(&self, stage: usize, x: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
        let norm = &self.norms[stage];
        let gamma = norm.gamma.val();
        let beta = match &norm.beta {
            Some(beta) => beta.val(),
            None => gamma.zeros_like(),
        };
        let x = match axis {
            ChannelAxis::Last => x,
            ChannelAxis::First => x.permute([0, 2, 3, 1]),
        };
        layer_norm(x, gamma, beta, EPSILON).permute([0, 3, 1, 2])
    }
}

/// A map in `[batch, channels, height, width]`, whatever its backbone's layout.
pub fn to_channels_first<B: Backend>(x: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
    match axis {
        ChannelAxis::Last => x.permute([0, 3, 1, 2]),
        ChannelAxis::First => x,
    }
}
