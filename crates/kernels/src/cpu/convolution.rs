//! Selects the kernel of a convolution: depthwise convolutions and those of one group have their own, the rest
//! use the reference implementation.

use burn::tensor::TensorMetadata;
use burn_flex::{Flex, FlexTensor};

use super::correlation;
use super::dense;
use super::depthwise::{self, Geometry};
use super::sizes::Dense;
use super::storage::{contiguous, tensor};
use crate::convolution::{self as plain, ConvolutionOptions};

/// Whether there is a depthwise kernel for a convolution.
fn is_depthwise(input: [usize; 4], weight: [usize; 4], options: ConvolutionOptions) -> bool {
    let [outputs, per_group, height, width] = weight;
    let depthwise = options.groups == input[1] && outputs == input[1] && per_group == 1;
    depthwise
        && height == width
        && is_short(height, options)
        && matches!(height, 3 | 5 | 7)
        && options.stride <= 2
}

/// Whether the leading padding is shorter than the kernel, as the convolution with the flipped kernel needs.
fn is_short(kernel: usize, options: ConvolutionOptions) -> bool {
    options.padding.iter().all(|[before, _]| *before < kernel)
}

/// The sizes of a convolution of one group.
fn dense(
    input: [usize; 4],
    weight: [usize; 4],
    output: [usize; 2],
    options: ConvolutionOptions,
) -> Option<Dense> {
    let [outputs, inputs, height, width] = weight;
    (options.groups == 1 && height == width).then(|| Dense {
        geometry: geometry(input, output, options),
        inputs,
        outputs,
        kernel: height,
        stride: options.stride,
    })
}

fn geometry(input: [usize; 4], output: [usize; 2], options: ConvolutionOptions) -> Geometry {
    Geometry {
        input: [input[2], input[3]],
        output,
        before: options.padding.map(|[before, _]| before),
    }
}

fn output_size(input: [usize; 4], kernel: usize, options: ConvolutionOptions) -> [usize; 2] {
    [0, 1].map(|axis| {
        let padded = input[2 + axis] + options.padding[axis].iter().sum::<usize>();
        (padded - kernel) / options.stride + 1
    })
}

pub(super) fn forward(
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    options: ConvolutionOptions,
) -> FlexTensor {
    let (input, kernel) = (x.shape().dims(), weight.shape().dims());
    let size = output_size(input, kernel[2], options);
    let dense = dense(input, kernel, size, options);
    if dense.is_none() && !is_depthwise(input, kernel, options) {
        return plain::forward::<Flex>(x, weight, bias, options);
    }
    let (x, weight) = (contiguous(x), weight.to_contiguous());
    let bias = bias.map(|bias| bias.to_contiguous());
    if let Some(dense) = dense {
        let bias = bias.as_ref().map(|bias| bias.storage());
        let activation = options.activation;
        let values = dense::forward(x.storage(), weight.storage(), bias, dense, activation);
        return tensor(values, [input[0], kernel[0], size[0], size[1]]);
    }
    let run = match (kernel[2], options.stride) {
        (3, 1) => depthwise::forward::<3, 1>,
        (3, _) => depthwise::forward::<3, 2>,
        (5, 1) => depthwise::forward::<5, 1>,
        (5, _) => depthwise::forward::<5, 2>,
        (_, 1) => depthwise::forward::<7, 1>,
        (_, _) => depthwise::forward::<7, 2>,
    };
    let values = run(
        x.storage(),
        weight.storage(),
        bias.as_ref().map(|bias| bias.storage()),
        geometry(input, size, options),
        options.activation,
    );
    tensor(values, [input[0], input[1], size[0], size[1]])
}

pub(super) fn backward_input(
    size: [usize; 4],
    weight: FlexTensor,
    grad: FlexTensor,
    options: ConvolutionOptions,
) -> FlexTensor {
    let kernel = weight.shape().dims();
    let [_, _, height, width] = grad.shape().dims();
    let dense = dense(size, kernel, [height, width], options)
        .filter(|dense| dense.stride == 1 && is_short(kernel[2], options));
    if dense.is_none() && !is_depthwise(size, kernel, options) {
        return plain::backward_input::<Flex>(size, weight, grad, options);
    }
    let (weight, grad) = (weight.to_contiguous(), contiguous(grad));
    if let Some(dense) = dense {
        let values = dense::backward_input(grad.storage(), weight.storage(), dense);
        return tensor(values, size);
    }
    let geometry = geometry(size, [height, width], options);
    let run = match kernel[2] {
        3 => depthwise::backward_input::<3>,
        5 => depthwise::backward_input::<5>,
        _ => depthwise::backward_input::<7>,
    };
    let values = run(grad.storage(), weight.storage(), geometry, options.stride);
    tensor(values, size)
}

pub(super) fn backward_weight(
    x: FlexTensor,
    weight: FlexTensor,
    grad: FlexTensor,
    options: ConvolutionOptions,
) -> FlexTensor {
    let (input, kernel) = (x.shape().dims(), weight.shape().dims());
    let [_, _, height, width] = grad.shape().dims();
    let dense = dense(input, kernel, [height, width], options);
    if dense.is_none() && !is_depthwise(input, kernel, options) {
        return plain::backward_weight::<Flex>(x, weight, grad, options);
    }
    let (x, grad) = (contiguous(x), contiguous(grad));
    if let Some(dense) = dense {
        let values = correlation::backward_weight(x.storage(), grad.storage(), dense);
        return tensor(values, kernel);
    }
    let geometry = geometry(input, [height, width], options);
    let run = match (kernel[2], options.stride) {
        (3, 1) => depthwise::backward_weight::<3, 1>,
        (3, _) => depthwise::backward_weight::<3, 2>,
        (5, 1) => depthwise::backward_weight::<5, 1>,
        (5, _) => depthwise::backward_weight::<5, 2>,
        (_, 1) => depthwise::backward_weight::<7, 1>,
        (_, _) => depthwise::backward_weight::<7, 2>,
    };
    tensor(run(x.storage(), grad.storage(), input[1], geometry), kernel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;

    #[test]
    fn lite0_runs_on_the_kernels() {
        let same = ConvolutionOptions::same([17, 20], 5, 2).with_activation(Activation::Relu6);
        let input = [2, 96, 17, 20];
        assert!(is_depthwise(input, [96, 1, 5, 5], same.with_groups(96)));
        assert!(!is_depthwise(input, [24, 96, 5, 5], same));
    }
}
