//! Convolution, batch norm, ReLU.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::{ConvolutionOptions, KernelBackend, convolution, project_channels, relu};

use crate::normalization::BatchNorm;

/// A convolution without bias, a batch norm and a ReLU; the map keeps its size.
#[derive(Module, Debug)]
pub struct ConvNormRelu<B: Backend> {
    /// `[outputs, inputs, kernel, kernel]`
    pub weight: Param<Tensor<B, 4>>,
    /// `[outputs]`
    pub norm: BatchNorm<B>,
}

impl<B: Backend> ConvNormRelu<B> {
    /// Kaiming-normal weights (fan out).
    pub fn new(inputs: usize, outputs: usize, kernel: usize, device: &B::Device) -> Self {
        Self {
            weight: kaiming(outputs, kernel).init([outputs, inputs, kernel, kernel], device),
            norm: BatchNorm::new(outputs, device),
        }
    }
}

impl<B: KernelBackend> ConvNormRelu<B> {
    /// # Shapes
    ///
    /// - `x`: `[batch, inputs, height, width]`
    /// - output: `[batch, outputs, height, width]`
    pub fn forward(&self, x: Tensor<B, 4>, phase: Phase) -> Tensor<B, 4> {
        let weight = self.weight.val();
        let [_, _, height, width] = x.dims();
        let options = ConvolutionOptions::same([height, width], weight.dims()[2], 1);
        let x = convolution(x, weight, None, options);
        relu(self.norm.forward(x, phase))
    }
}

/// A 1x1 convolution with bias: the classifier at the end of a decoder.
#[derive(Module, Debug)]
pub struct Pointwise<B: Backend> {
    /// `[inputs, outputs]`
    pub weight: Param<Tensor<B, 2>>,
    /// `[outputs]`
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> Pointwise<B> {
    /// Normal weights of deviation 0.01 and zero bias, as mmsegmentation's classifiers.
    pub fn classifier(inputs: usize, outputs: usize, device: &B::Device) -> Self {
        let initializer = Initializer::Normal {
            mean: 0.0,
            std: 0.01,
        };
        Self {
            weight: initializer.init([inputs, outputs], device),
            bias: Initializer::Zeros.init([outputs], device),
        }
    }

    /// Weights of a linear layer.
    pub fn linear(inputs: usize, outputs: usize, device: &B::Device) -> Self {
        Self {
            weight: Initializer::Normal {
                mean: 0.0,
                std: (1.0 / inputs as f64).sqrt(),
            }
            .init([inputs, outputs], device),
            bias: Initializer::Zeros.init([outputs], device),
        }
    }
}

impl<B: KernelBackend> Pointwise<B> {
    /// # Shapes
    ///
    /// - `x`: `[batch, inputs, height, width]`
    /// - output: `[batch, outputs, height, width]`
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        project_channels(x, self.weight.val(), Some(self.bias.val()))
    }
}

fn kaiming(outputs: usize, kernel: usize) -> Initializer {
    let fan_out = outputs * kernel * kernel;
    Initializer::Normal {
        mean: 0.0,
        std: (2.0 / fan_out as f64).sqrt(),
    }
}
