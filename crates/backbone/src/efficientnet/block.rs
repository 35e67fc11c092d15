//! Convolutions with folded norms, and the inverted residual block made of them.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{Activation, ConvolutionOptions, KernelBackend, add, convolution};

use crate::access::{Access, BlockAccess, Point};

/// A convolution with its batch norm folded in.
#[derive(Module, Debug)]
pub struct Convolution<B: Backend> {
    /// `[outputs, inputs / groups, kernel, kernel]`
    pub weight: Param<Tensor<B, 4>>,
    /// `[outputs]`
    pub bias: Param<Tensor<B, 1>>,
    /// Step between output positions.
    pub stride: usize,
    /// 1, or the number of channels for a depthwise convolution.
    pub groups: usize,
}

impl<B: Backend> Convolution<B> {
    pub(super) fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
        device: &B::Device,
    ) -> Self {
        let fan_out = kernel * kernel * outputs / groups;
        let initializer = Initializer::Normal {
            mean: 0.0,
            std: (2.0 / fan_out as f64).sqrt(),
        };
        Self {
            weight: initializer.init([outputs, inputs / groups, kernel, kernel], device),
            bias: Initializer::Zeros.init([outputs], device),
            stride,
            groups,
        }
    }

    pub(super) fn outputs(&self) -> usize {
        self.bias.dims()[0]
    }
}

impl<B: KernelBackend> Convolution<B> {
    /// # Shapes
    ///
    /// - `x`: `[batch, inputs, height, width]`
    /// - output: `[batch, outputs, ceil(height / stride), ceil(width / stride)]`
    pub fn forward(&self, x: Tensor<B, 4>, activation: Activation) -> Tensor<B, 4> {
        let weight = self.weight.val();
        let [_, _, height, width] = x.dims();
        let options = ConvolutionOptions::same([height, width], weight.dims()[2], self.stride)
            .with_groups(self.groups)
            .with_activation(activation);
        convolution(x, weight, Some(self.bias.val()), options)
    }
}

/// Expansion, depthwise convolution and projection, with a residual where the shape allows it
/// (MobileNetV2, Sandler et al. 2018).
#[derive(Module, Debug)]
pub struct InvertedResidual<B: Backend> {
    /// 1x1 to the hidden width; none where that is the input width.
    pub expand: Option<Convolution<B>>,
    /// Depthwise.
    pub depthwise: Convolution<B>,
    /// 1x1 to the output width, without activation.
    pub project: Convolution<B>,
    /// Whether the input is added to the output.
    pub residual: bool,
}

impl<B: Backend> InvertedResidual<B> {
    pub(super) fn new(
        inputs: usize,
        outputs: usize,
        expansion: usize,
        kernel: usize,
        stride: usize,
        device: &B::Device,
    ) -> Self {
        let hidden = inputs * expansion;
        Self {
            expand: (expansion > 1).then(|| Convolution::new(inputs, hidden, 1, 1, 1, device)),
            depthwise: Convolution::new(hidden, hidden, kernel, stride, hidden, device),
            project: Convolution::new(hidden, outputs, 1, 1, 1, device),
            residual: stride == 1 && inputs == outputs,
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.project.outputs()
    }
}

impl<B: KernelBackend> InvertedResidual<B> {
    /// # Shapes
    ///
    /// - `x`: `[batch, inputs, height, width]`
    /// - output: `[batch, outputs, ceil(height / stride), ceil(width / stride)]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 4>,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let hidden = match &self.expand {
            Some(expand) => expand.forward(x.clone(), Activation::Relu6),
            None => x.clone(),
        };
        let hidden = self.depthwise.forward(hidden, Activation::Relu6);
        let branch = self.project.forward(hidden, Activation::Identity);
        let branch = access.at(Point::Convolution, &x, branch);
        if self.residual {
            let output = add(branch, x.clone());
            access.at(Point::Block, &x, output)
        } else {
            access.at(Point::Block, &x, branch)
        }
    }
}
