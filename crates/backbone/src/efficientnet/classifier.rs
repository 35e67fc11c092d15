//! The classifier of EfficientNet-Lite.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{Activation, KernelBackend, linear};

use super::block::Convolution;
use super::{EfficientNetLite, EfficientNetLiteConfig};
use crate::access::Untouched;
use crate::backbone::Backbone;
use crate::drop_path::Phase;

/// Number of channels of the last convolution, the same in every variant.
const HEAD: usize = 1280;

/// EfficientNet-Lite with its classifier, to check imported weights on photos.
#[derive(Module, Debug)]
pub struct Classifier<B: Backend> {
    /// The backbone.
    pub features: EfficientNetLite<B>,
    /// 1x1 convolution before pooling.
    pub head: Convolution<B>,
    /// `[1280, classes]`
    pub fc: Linear<B>,
}

impl<B: Backend> Classifier<B> {
    /// A randomly initialised classifier.
    pub fn new(config: &EfficientNetLiteConfig, classes: usize, device: &B::Device) -> Self {
        let features = config.init(device);
        let last = features.rows.last().and_then(|row| row.last());
        let channels = last.map_or(0, |block| block.channels());
        Self {
            features,
            head: Convolution::new(channels, HEAD, 1, 1, 1, device),
            fc: LinearConfig::new(HEAD, classes).init(device),
        }
    }
}

impl<B: KernelBackend> Classifier<B> {
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`
    /// - output: logits `[batch, classes]`
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        let mut outputs = self
            .features
            .forward(images, Phase::Inference, &mut Untouched);
        let Some(last) = outputs.pop() else {
            unreachable!("the architecture table ends in a stage")
        };
        let hidden = self.head.forward(last, Activation::Relu6, Phase::Inference);
        let pooled = hidden.mean_dim(3).mean_dim(2).flatten::<2>(1, 3);
        linear(
            pooled,
            self.fc.weight.val(),
            self.fc.bias.as_ref().map(|bias| bias.val()),
        )
    }
}
