//! Convolution with bias and activation.

use std::ops::Range;

use burn::tensor::module::conv2d;
use burn::tensor::ops::{ConvOptions, FloatTensor, ModuleOps};
use burn::tensor::{Tensor, TensorData, TensorMetadata};

use crate::KernelBackend;
use crate::activation::{self, Activation};
use crate::primitive::{float, tensor};

/// Options of a [`convolution`]: its geometry and activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionOptions {
    /// Step between output positions.
    pub stride: usize,
    /// Zeros before and after the rows, before and after the columns.
    pub padding: [[usize; 2]; 2],
    /// 1, or the number of channels for a depthwise convolution.
    pub groups: usize,
    /// Activation after the bias.
    pub activation: Activation,
}

impl ConvolutionOptions {
    /// Options with TensorFlow's "same" padding, the smaller half first: `ceil(side / stride)` outputs.
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

    /// Options of a 1x1 convolution.
    pub fn pointwise() -> Self {
        Self {
            stride: 1,
            padding: [[0, 0], [0, 0]],
            groups: 1,
            activation: Activation::Identity,
        }
    }

    /// Sets the number of groups.
    pub fn with_groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Sets the activation.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }
}

/// Convolution, bias and activation.
///
/// Burn's own convolution supports only symmetric padding, and under autodiff it always keeps its input. This
/// one keeps the input only for a trained weight, and the output for a rectifier.
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
    let everywhere = ConvolutionOptions {
        stride: 1,
        ..options
    };
    let output = conv2d(x, weight, bias, burn_options(everywhere));
    // Every so many of its outputs: on graphics cards Burn's strided convolution has gradients of zero
    // where the kernel is not longer than the stride.
    let output = [2, 3].into_iter().fold(output, |output, axis| {
        let places = (0..output.dims()[axis] as i32).step_by(options.stride);
        let places: Vec<i32> = places.collect();
        let places = Tensor::from_data(TensorData::from(places.as_slice()), &output.device());
        output.select(axis, places)
    });
    activation::bias_activation_reference(output, None, 1, options.activation)
}

fn pad<B: KernelBackend>(x: Tensor<B, 4>, [rows, columns]: [[usize; 2]; 2]) -> Tensor<B, 4> {
    crate::pad(x, [(0, 0), (0, 0), rows.into(), columns.into()])
}

/// Burn's options for an input that is already padded.
fn burn_options(options: ConvolutionOptions) -> ConvOptions<2> {
    let stride = [options.stride, options.stride];
    ConvOptions::new(stride, [0, 0], [1, 1], options.groups)
}

/// Burn's options if it supports the padding.
fn symmetric(options: ConvolutionOptions) -> Option<ConvOptions<2>> {
    let [[top, bottom], [left, right]] = options.padding;
    let mut burn = burn_options(options);
    burn.padding = [top, left];
    (top == bottom && left == right).then_some(burn)
}

/// The input and Burn's options; the input is padded if Burn does not support the padding.
pub(crate) fn padded<B: KernelBackend>(
    x: FloatTensor<B>,
    options: ConvolutionOptions,
) -> (FloatTensor<B>, ConvOptions<2>) {
    match symmetric(options) {
        Some(burn) => (x, burn),
        None => (
            float(pad(tensor::<B, 4>(x), options.padding)),
            burn_options(options),
        ),
    }
}

/// For the gradient of an input of `size` whose padding Burn does not support: the padded size, Burn's options,
/// and the ranges of the input in it.
pub(crate) fn unpadded(
    size: [usize; 4],
    options: ConvolutionOptions,
) -> ([usize; 4], ConvOptions<2>, Option<[Range<usize>; 4]>) {
    if let Some(burn) = symmetric(options) {
        return (size, burn, None);
    }
    let [batch, inputs, height, width] = size;
    let [[top, bottom], [left, right]] = options.padding;
    let padded = [batch, inputs, top + height + bottom, left + width + right];
    let inside = [0..batch, 0..inputs, top..top + height, left..left + width];
    (padded, burn_options(options), Some(inside))
}

/// Spreads the gradient of a strided convolution to that of one with stride 1, with zeros at the outputs in between.
#[cfg(any(test, feature = "cube"))]
pub(crate) fn spread<B: KernelBackend>(
    grad: FloatTensor<B>,
    [_, _, height, width]: [usize; 4],
    [outputs, _, rows, columns]: [usize; 4],
    options: ConvolutionOptions,
) -> FloatTensor<B> {
    let stride = options.stride;
    if stride == 1 {
        return grad;
    }
    let grad = tensor::<B, 4>(grad);
    let [batch, _, down, across] = grad.dims();
    let gaps = |gap: usize| (0, gap);
    let wide = grad
        .reshape([batch * outputs, down, 1, across, 1])
        .pad(
            [
                gaps(0),
                gaps(0),
                gaps(stride - 1),
                gaps(0),
                gaps(stride - 1),
            ],
            burn::tensor::ops::PadMode::Constant(0.0),
        )
        .reshape([batch, outputs, down * stride, across * stride]);
    let [[top, bottom], [left, right]] = options.padding;
    let full = [
        top + height + bottom + 1 - rows,
        left + width + right + 1 - columns,
    ];
    float(wide.slice([0..batch, 0..outputs, 0..full[0], 0..full[1]]))
}

/// Whether a convolution is a matrix product over positions, which is faster on every backend.
pub(crate) fn is_pointwise([_, _, height, width]: [usize; 4], options: ConvolutionOptions) -> bool {
    [height, width] == [1, 1]
        && options.stride == 1
        && options.groups == 1
        && options.padding == [[0, 0], [0, 0]]
}

/// A 1x1 convolution as a matrix product; `weight` is `[inputs, outputs]`.
fn columns<B: KernelBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
    activation: Activation,
) -> Tensor<B, 4> {
    let [batch, inputs, height, width] = x.dims();
    let outputs = weight.dims()[1];
    let columns = x.reshape([batch, inputs, height * width]);
    let product = weight.transpose().unsqueeze::<3>().matmul(columns);
    activation::bias_activation(product, bias, 1, activation)
        .reshape([batch, outputs, height, width])
}

pub(crate) fn forward<B: KernelBackend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    options: ConvolutionOptions,
) -> FloatTensor<B> {
    let [outputs, inputs, height, width] = weight.shape().dims();
    if is_pointwise([outputs, inputs, height, width], options) {
        let weight = tensor::<B, 4>(weight)
            .reshape([outputs, inputs])
            .transpose();
        let bias = bias.map(tensor::<B, 1>);
        return float(columns(tensor(x), weight, bias, options.activation));
    }
    let (x, burn) = padded::<B>(x, options);
    let output = tensor::<B, 4>(B::conv2d(x, weight, bias, burn));
    float(activation::bias_activation(
        output,
        None,
        1,
        options.activation,
    ))
}

/// The gradient of an input of `size`, given the gradient of the convolution before its activation.
pub(crate) fn backward_input<B: KernelBackend>(
    size: [usize; 4],
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    options: ConvolutionOptions,
) -> FloatTensor<B> {
    let inputs = size[1];
    let kernel = weight.shape().dims();
    if is_pointwise(kernel, options) {
        let weight = tensor::<B, 4>(weight).reshape([kernel[0], inputs]);
        return float(columns(tensor(grad), weight, None, Activation::Identity));
    }
    let (padded, burn, inside) = unpadded(size, options);
    // Burn reads no more of the input than its shape.
    let input = Tensor::<B, 4>::empty(padded, &B::float_device(&grad));
    let full = <B as ModuleOps<B>>::conv2d_x_backward(float(input), weight, grad, burn);
    match inside {
        Some(inside) => float(tensor::<B, 4>(full).slice(inside)),
        None => full,
    }
}

/// The gradient of `weight`, given the gradient of the convolution before its activation.
pub(crate) fn backward_weight<B: KernelBackend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    options: ConvolutionOptions,
) -> FloatTensor<B> {
    let kernel = weight.shape().dims();
    if is_pointwise(kernel, options) {
        let [outputs, inputs, ..] = kernel;
        let [batch, _, height, width] = x.shape().dims();
        let columns = |x, channels| tensor::<B, 4>(x).reshape([batch, channels, height * width]);
        let products = columns(grad, outputs).matmul(columns(x, inputs).swap_dims(1, 2));
        return float(products.sum_dim(0).reshape(kernel));
    }
    let (x, burn) = padded::<B>(x, options);
    <B as ModuleOps<B>>::conv2d_weight_backward(x, weight, grad, burn)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use burn_flex::Flex;

    use super::*;

    #[test]
    fn a_strided_gradient_is_that_of_a_spread_one() {
        for (size, kernel, stride) in [([19, 22], 3, 2), ([21, 30], 4, 4), ([13, 18], 1, 2)] {
            let options = ConvolutionOptions::same(size, kernel, stride);
            let device = Default::default();
            let weights = [5, 3, kernel, kernel];
            let random = |shape| Tensor::<Flex, 4>::random(shape, Distribution::Default, &device);
            let (x, weight) = (random([2, 3, size[0], size[1]]), random(weights));
            let output = convolution(x.clone(), weight.clone(), None, options);
            let grad = random(output.dims());
            let dims = x.dims();
            let expected = <Flex as KernelBackend>::convolution_backward_input(
                dims,
                float(weight.clone()),
                float(grad.clone()),
                options,
            );
            let dense = ConvolutionOptions {
                stride: 1,
                ..options
            };
            let wide = spread::<Flex>(float(grad), dims, weights, options);
            let found = <Flex as KernelBackend>::convolution_backward_input(
                dims,
                float(weight),
                wide,
                dense,
            );
            let [found, expected] = [found, expected].map(tensor::<Flex, 4>);
            let difference: f32 = (found - expected).abs().max().into_scalar();
            assert!(
                difference < 1e-4,
                "{size:?} {kernel} {stride}: off by {difference}"
            );
        }
    }

    #[test]
    fn a_kernel_of_one_is_a_matrix_product() {
        let pointwise = ConvolutionOptions::same([17, 20], 1, 1);
        assert!(is_pointwise([24, 96, 1, 1], pointwise));
        let strided = ConvolutionOptions::same([17, 20], 1, 2);
        assert!(!is_pointwise([24, 96, 1, 1], strided));
        let wide = ConvolutionOptions::same([17, 20], 5, 1);
        assert!(!is_pointwise([24, 96, 5, 5], wide));
    }
}
