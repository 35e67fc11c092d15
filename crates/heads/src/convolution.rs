//! Convolutions: with batch norm and ReLU, with bias, and 1x1.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::{
    Activation, ConvolutionOptions, KernelBackend, convolution, project_channels, relu,
};

use crate::normalization::BatchNorm;

/// A convolution without bias, a batch norm and a ReLU; the output has the size of the input.
#[derive(Module, Debug)]
pub struct ConvNormRelu<B: Backend> {
    /// `[outputs, inputs, kernel, kernel]`
    pub weight: Param<Tensor<B, 4>>,
    /// `[outputs]`
    pub norm: BatchNorm<B>,
}

impl<B: Backend> ConvNormRelu<B> {
    /// Creates a module with Kaiming-normal weights (fan out).
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
    /// Creates a classifier with normal weights of deviation 0.01 and zero bias, as in mmsegmentation.
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

    /// Creates a convolution with Kaiming-normal weights (fan out) and zero bias.
    pub fn kaiming(inputs: usize, outputs: usize, device: &B::Device) -> Self {
        Self {
            weight: kaiming(outputs, 1).init([inputs, outputs], device),
            bias: Initializer::Zeros.init([outputs], device),
        }
    }

    /// Creates a convolution with the default weights of a linear layer.
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

/// A convolution with bias.
#[derive(Module, Debug)]
pub struct Convolution<B: Backend> {
    /// `[outputs, inputs, kernel, kernel]`
    pub weight: Param<Tensor<B, 4>>,
    /// `[outputs]`
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> Convolution<B> {
    /// Creates a convolution with normally distributed weights and zero bias.
    pub fn normal(
        [inputs, outputs, kernel]: [usize; 3],
        deviation: f64,
        device: &B::Device,
    ) -> Self {
        let initializer = Initializer::Normal {
            mean: 0.0,
            std: deviation,
        };
        Self {
            weight: initializer.init([outputs, inputs, kernel, kernel], device),
            bias: Initializer::Zeros.init([outputs], device),
        }
    }

    /// Creates a convolution with Kaiming-normal weights (fan out) and zero bias.
    pub fn kaiming([inputs, outputs, kernel]: [usize; 3], device: &B::Device) -> Self {
        Self {
            weight: kaiming(outputs, kernel).init([outputs, inputs, kernel, kernel], device),
            bias: Initializer::Zeros.init([outputs], device),
        }
    }

    /// Creates a convolution with Xavier-uniform weights (Glorot and Bengio 2010) and zero bias.
    pub fn xavier([inputs, outputs, kernel]: [usize; 3], device: &B::Device) -> Self {
        let area = kernel * kernel;
        let fans = [Some(inputs * area), Some(outputs * area)];
        let initializer = Initializer::XavierUniform { gain: 1.0 };
        let shape = [outputs, inputs, kernel, kernel];
        Self {
            weight: initializer.init_with(shape, fans[0], fans[1], device),
            bias: Initializer::Zeros.init([outputs], device),
        }
    }

    /// Sets the bias of every output to this value.
    pub fn with_bias(self, value: f64) -> Self {
        let [outputs] = self.bias.dims();
        let device = self.bias.device();
        let bias = Initializer::Constant { value }.init([outputs], &device);
        Self { bias, ..self }
    }
}

impl<B: KernelBackend> Convolution<B> {
    /// Convolves with half the kernel as padding on every side, as PyTorch's `padding = kernel // 2`.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, inputs, height, width]`
    /// - output: `[batch, outputs, ceil(height / stride), ceil(width / stride)]`
    pub fn forward(&self, x: Tensor<B, 4>, stride: usize, activation: Activation) -> Tensor<B, 4> {
        let weight = self.weight.val();
        let half = weight.dims()[2] / 2;
        let options = ConvolutionOptions {
            stride,
            padding: [[half; 2]; 2],
            groups: 1,
            activation,
        };
        convolution(x, weight, Some(self.bias.val()), options)
    }
}

pub(crate) fn kaiming(outputs: usize, kernel: usize) -> Initializer {
    let fan_out = outputs * kernel * kernel;
    Initializer::Normal {
        mean: 0.0,
        std: (2.0 / fan_out as f64).sqrt(),
    }
}
