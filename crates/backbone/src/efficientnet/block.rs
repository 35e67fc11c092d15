//! Convolutions with folded norms, and the inverted residual block made of them.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use gradway_kernels::{KernelBackend, project_channels};

use crate::access::Point;

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
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let weight = self.weight.val();
        let [outputs, inputs, kernel, _] = weight.dims();
        if kernel == 1 && self.stride == 1 && self.groups == 1 {
            let weight = weight.reshape([outputs, inputs]).transpose();
            return project_channels(x, weight, Some(self.bias.val()));
        }
        let (x, padding) = self.pad_same(x, kernel);
        let stride = [self.stride, self.stride];
        let options = ConvOptions::new(stride, padding, [1, 1], self.groups);
        conv2d(x, weight, Some(self.bias.val()), options)
    }

    /// TensorFlow's "same": the smaller half of the padding first. Symmetric padding is left to the
    /// convolution.
    fn pad_same(&self, x: Tensor<B, 4>, kernel: usize) -> (Tensor<B, 4>, [usize; 2]) {
        let [_, _, height, width] = x.dims();
        let total = [height, width].map(|side| {
            ((side.div_ceil(self.stride) - 1) * self.stride + kernel).saturating_sub(side)
        });
        if total.iter().all(|total| total % 2 == 0) {
            return (x, total.map(|total| total / 2));
        }
        let padded = [2, 3].into_iter().zip(total).fold(x, |x, (axis, total)| {
            let zeros = |count: usize| {
                let mut shape = x.dims();
                shape[axis] = count;
                (count > 0).then(|| Tensor::zeros(shape, &x.device()))
            };
            let before = zeros(total / 2);
            let after = zeros(total - total / 2);
            let parts = before.into_iter().chain([x.clone()]).chain(after);
            Tensor::cat(parts.collect(), axis)
        });
        (padded, [0, 0])
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
        visit: &mut impl FnMut(Point, &Tensor<B, 4>, Tensor<B, 4>) -> Tensor<B, 4>,
    ) -> Tensor<B, 4> {
        let hidden = match &self.expand {
            Some(expand) => relu6(expand.forward(x.clone())),
            None => x.clone(),
        };
        let hidden = relu6(self.depthwise.forward(hidden));
        let branch = visit(Point::Convolution, &x, self.project.forward(hidden));
        if self.residual {
            let output = branch + x.clone();
            visit(Point::Block, &x, output)
        } else {
            visit(Point::Block, &x, branch)
        }
    }
}

/// ReLU capped at 6.
pub(super) fn relu6<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    x.clamp(0.0, 6.0)
}
