//! The layer norms between a backbone and a neck.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{ChannelAxis, KernelBackend, channels_first, channels_last, layer_norm};

use crate::description::Description;

const EPSILON: f64 = 1e-5;

/// Layer norms over the channels of the stage outputs, one per stage, as in the detection Swin.
///
/// EfficientNet has no such norms. It gets them too, so that all methods connect to the neck in the same way;
/// this is an extension of this library.
#[derive(Module, Debug)]
pub struct OutputNorms<B: Backend> {
    /// One norm per stage, `[channels]`.
    pub norms: Vec<LayerNorm<B>>,
}

impl<B: Backend> OutputNorms<B> {
    /// Creates norms with scale 1 and shift 0 for the stages of a backbone.
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
    /// - `x`: `[batch, height, width, channels]` or `[batch, channels, height, width]`, according to `axis`
    /// - output: `[batch, channels, height, width]`
    pub fn forward(&self, stage: usize, x: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
        let norm = &self.norms[stage];
        let gamma = norm.gamma.val();
        let beta = match &norm.beta {
            Some(beta) => beta.val(),
            None => gamma.zeros_like(),
        };
        let rows = channels_last(x, axis);
        channels_first(layer_norm(rows, gamma, beta, EPSILON), ChannelAxis::Last)
    }
}
