//! Depthwise convolution of maps with their channels last.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata};

use crate::KernelBackend;
use crate::convolution::{ConvolutionOptions, convolution_reference};
use crate::layout::ChannelAxis;
use crate::primitive::{float, tensor};

/// Depthwise convolution of a map with its channels last. Zeros around the map keep its size.
///
/// [`convolution`](crate::convolution()) takes maps with their channels first. To move the channels of a map there and
/// back takes longer than a convolution of 7x7.
///
/// # Shapes
///
/// - `x`, output: `[batch, height, width, channels]`
/// - `weight`: `[channels, 1, kernel, kernel]`, `bias`: `[channels]`
///
/// # Panics
///
/// If the kernel is not square with odd sides, or there is not one for every channel.
pub fn depthwise_convolution<B: KernelBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 4> {
    let [channels, one, kernel, across] = weight.dims();
    assert_eq!([channels, one], [x.dims()[3], 1], "a kernel per channel");
    assert_eq!([kernel % 2, across], [1, kernel], "an odd square kernel");
    tensor(B::depthwise_convolution(
        float(x),
        float(weight),
        bias.map(float),
    ))
}

/// [`depthwise_convolution`] in plain Burn.
pub fn depthwise_convolution_reference<B: KernelBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 4> {
    let options = options(x.dims(), weight.dims()[2]);
    let x = x.permute([0, 3, 1, 2]);
    convolution_reference(x, weight, bias, options).permute([0, 2, 3, 1])
}

/// Of a map with its channels last.
fn options([_, height, width, channels]: [usize; 4], kernel: usize) -> ConvolutionOptions {
    ConvolutionOptions::same([height, width], kernel, 1).with_groups(channels)
}

pub(crate) fn forward<B: KernelBackend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let [_, _, kernel, _] = weight.shape().dims();
    let options = options(x.shape().dims(), kernel);
    let x = B::move_channels(x, ChannelAxis::First);
    B::move_channels(B::convolution(x, weight, bias, options), ChannelAxis::Last)
}

/// The kernel by which the gradient of an output becomes that of its input.
pub(crate) fn turned<B: KernelBackend>(weight: FloatTensor<B>) -> FloatTensor<B> {
    B::float_flip(weight, &[2, 3])
}

/// The gradient of a weight of `[channels, 1, kernel, kernel]`.
pub(crate) fn backward_weight<B: KernelBackend>(
    x: FloatTensor<B>,
    grad: FloatTensor<B>,
    kernel: usize,
) -> FloatTensor<B> {
    let size: [usize; 4] = x.shape().dims();
    // Nothing but its shape is read.
    let weight = Tensor::<B, 4>::empty([size[3], 1, kernel, kernel], &B::float_device(&x));
    let [x, grad] = [x, grad].map(|map| B::move_channels(map, ChannelAxis::First));
    B::convolution_backward_weight(x, float(weight), grad, options(size, kernel))
}
