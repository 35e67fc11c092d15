//! Convolution with bias and activation.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::{ConvOptions, FloatTensor, ModuleOps};

use crate::KernelBackend;
use crate::activation::{self, Activation};
use crate::layer_norm::{float, tensor};

/// Geometry of a [`convolution`] and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionOptions {
    /// Step between output positions.
    pub stride: usize,
    /// Zeros before and after the rows, before and after the columns.
    pub padding: [[usize; 2]; 2],
    /// 1, or the number of channels for a depthwise convolution.
    pub groups: usize,
    /// What follows.
    pub activation: Activation,
}

impl ConvolutionOptions {
    /// TensorFlow's "same" padding, the smaller half first: `ceil(side / stride)` outputs.
    pub fn same(size: [usize; 2], kernel: usize, stride: usize) -> Self {
        let padding = size.map(|side| {
            let needed = (side.div_ceil(stride) - 1) * stride + kernel;
            let total = needed.saturating_sub(side);
            [total / 2, total - total / 2]
        });
        Self {
            stride,
            padding,
            groups: 1,
            activation: Activation::Identity,
        }
    }

    /// The same, for this number of groups.
    pub fn with_groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// The same, followed by an activation.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }
}

/// Convolution, bias and activation.
///
/// Burn's own knows symmetric padding alone, and under autodiff keeps its input and weight whether
/// a gradient needs them or not; this keeps the input only for a trained weight, the weight only for
/// a tracked input, and of a rectifier the output.
///
/// # Shapes
///
/// - `x`: `[batch, inputs, height, width]`
/// - `weight`: `[outputs, inputs / groups, kernel, kernel]`, `bias`: `[outputs]`
/// - output: `[batch, outputs, (padded height - kernel) / stride + 1, ...]`
pub fn convolution<B: KernelBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
    options: ConvolutionOptions,
) -> Tensor<B, 4> {
    if options.activation == Activation::Gelu {
        // Its gradient needs what a rectifier's does not: the map before it.
        let linear = options.with_activation(Activation::Identity);
        return activation::gelu(convolution(x, weight, bias, linear));
    }
    tensor(B::convolution(
        float(x),
        float(weight),
        bias.map(float),
        options,
    ))
}

/// [`convolution`] in plain Burn.
pub fn convolution_reference<B: KernelBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
    options: ConvolutionOptions,
) -> Tensor<B, 4> {
    let x = pad(x, options.padding);
    let output = conv2d(x, weight, bias, burn_options(options));
    activation::bias_activation_reference(output, None, 1, options.activation)
}

fn pad<B: KernelBackend>(x: Tensor<B, 4>, padding: [[usize; 2]; 2]) -> Tensor<B, 4> {
    [2, 3].into_iter().zip(padding).fold(x, |x, (axis, sides)| {
        let [before, after] = sides.map(|count| {
            let mut shape = x.dims();
            shape[axis] = count;
            (count > 0).then(|| Tensor::zeros(shape, &x.device()))
        });
        let parts = before.into_iter().chain([x]).chain(after);
        Tensor::cat(parts.collect(), axis)
    })
}

/// Burn's options for an input that is padded already.
fn burn_options(options: ConvolutionOptions) -> ConvOptions<2> {
    let stride = [options.stride, options.stride];
    ConvOptions::new(stride, [0, 0], [1, 1], options.groups)
}

/// The symmetric padding that Burn's convolution can do itself, or the input padded.
fn padded<B: KernelBackend>(
    x: FloatTensor<B>,
    options: ConvolutionOptions,
) -> (FloatTensor<B>, ConvOptions<2>) {
    let mut burn = burn_options(options);
    if let [[top, bottom], [left, right]] = options.padding
        && top == bottom
        && left == right
    {
        burn.padding = [top, left];
        return (x, burn);
    }
    (float(pad(tensor::<B, 4>(x), options.padding)), burn)
}

pub(crate) fn forward<B: KernelBackend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    options: ConvolutionOptions,
) -> FloatTensor<B> {
    let (x, burn) = padded::<B>(x, options);
    let output = tensor::<B, 4>(B::conv2d(x, weight, bias, burn));
    float(activation::bias_activation(
        output,
        None,
        1,
        options.activation,
    ))
}

/// The gradient of an input of `size`, given that of the convolution before its activation.
pub(crate) fn backward_input<B: KernelBackend>(
    size: [usize; 4],
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    options: ConvolutionOptions,
) -> FloatTensor<B> {
    let grad = tensor::<B, 4>(grad);
    // Burn reads the shape alone.
    let (x, burn) = padded::<B>(float(Tensor::<B, 4>::zeros(size, &grad.device())), options);
    let with_padding = burn.padding == [0, 0];
    let full = tensor::<B, 4>(<B as ModuleOps<B>>::conv2d_x_backward(
        x,
        weight,
        float(grad),
        burn,
    ));
    if !with_padding {
        return float(full);
    }
    let [[top, _], [left, _]] = options.padding;
    let [batch, channels, height, width] = size;
    float(full.slice([0..batch, 0..channels, top..top + height, left..left + width]))
}

/// The gradient of a weight like `weight`, given that of the convolution before its activation.
pub(crate) fn backward_weight<B: KernelBackend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    options: ConvolutionOptions,
) -> FloatTensor<B> {
    let (x, burn) = padded::<B>(x, options);
    <B as ModuleOps<B>>::conv2d_weight_backward(x, weight, grad, burn)
}
