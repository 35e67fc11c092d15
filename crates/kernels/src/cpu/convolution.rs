//! Which convolution is which kernel: depthwise ones are our own, 1x1 ones matrix products, the rest
//! Flex's.

use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensorOps;
use burn_flex::{Flex, FlexTensor};

use super::activation::forward as bias_activation;
use super::depthwise::{self, Geometry};
use super::storage::tensor;
use crate::convolution::{self as plain, ConvolutionOptions};

/// The kernels that this module knows.
enum Kind {
    Depthwise,
    Pointwise,
    Other,
}

fn kind(input: [usize; 4], weight: [usize; 4], options: ConvolutionOptions) -> Kind {
    let [outputs, per_group, height, width] = weight;
    let depthwise = options.groups == input[1] && outputs == input[1] && per_group == 1;
    let square = height == width;
    let short = options.padding.iter().all(|[before, _]| *before < height);
    if depthwise && square && short && matches!(height, 3 | 5) && options.stride <= 2 {
        Kind::Depthwise
    } else if [height, width] == [1, 1]
        && options.stride == 1
        && options.groups == 1
        && options.padding == [[0, 0], [0, 0]]
    {
        Kind::Pointwise
    } else {
        Kind::Other
    }
}

fn sizes(tensor: &FlexTensor) -> [usize; 4] {
    let shape = tensor.shape();
    [shape[0], shape[1], shape[2], shape[3]]
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
    let (input, kernel) = (sizes(&x), sizes(&weight));
    match kind(input, kernel, options) {
        Kind::Depthwise => {
            let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
            let bias = bias.map(|bias| bias.to_contiguous());
            let size = output_size(input, kernel[2], options);
            let geometry = geometry(input, size, options);
            let bias = bias.as_ref().map(|bias| bias.storage());
            let run = match (kernel[2], options.stride) {
                (3, 1) => depthwise::forward::<3, 1>,
                (3, _) => depthwise::forward::<3, 2>,
                (_, 1) => depthwise::forward::<5, 1>,
                (_, _) => depthwise::forward::<5, 2>,
            };
            let values = run(
                x.storage(),
                weight.storage(),
                bias,
                geometry,
                options.activation,
            );
            tensor(values, [input[0], input[1], size[0], size[1]])
        }
        Kind::Pointwise => {
            let [batch, inputs, height, width] = input;
            let outputs = kernel[0];
            let columns = Flex::float_reshape(x, [batch, inputs, height * width].into());
            let weight = Flex::float_reshape(weight, [1, outputs, inputs].into());
            let product = Flex::float_matmul(weight, columns);
            let output = bias_activation(product, bias, options.activation);
            Flex::float_reshape(output, [batch, outputs, height, width].into())
        }
        Kind::Other => plain::forward::<Flex>(x, weight, bias, options),
    }
}

pub(super) fn backward_input(
    size: [usize; 4],
    weight: FlexTensor,
    grad: FlexTensor,
    options: ConvolutionOptions,
) -> FlexTensor {
    let kernel = sizes(&weight);
    match kind(size, kernel, options) {
        Kind::Depthwise => {
            let (weight, grad) = (weight.to_contiguous(), grad.to_contiguous());
            let output = sizes(&grad);
            let geometry = geometry(size, [output[2], output[3]], options);
            let run = match kernel[2] {
                3 => depthwise::backward_input::<3>,
                _ => depthwise::backward_input::<5>,
            };
            let values = run(grad.storage(), weight.storage(), geometry, options.stride);
            tensor(values, size)
        }
        Kind::Pointwise => {
            let [batch, inputs, height, width] = size;
            let outputs = kernel[0];
            let weight = Flex::float_reshape(weight, [1, outputs, inputs].into());
            let grad = Flex::float_reshape(grad, [batch, outputs, height * width].into());
            let product = Flex::float_matmul(Flex::float_swap_dims(weight, 1, 2), grad);
            Flex::float_reshape(product, size.into())
        }
        Kind::Other => plain::backward_input::<Flex>(size, weight, grad, options),
    }
}

pub(super) fn backward_weight(
    x: FlexTensor,
    weight: FlexTensor,
    grad: FlexTensor,
    options: ConvolutionOptions,
) -> FlexTensor {
    let (input, kernel) = (sizes(&x), sizes(&weight));
    match kind(input, kernel, options) {
        Kind::Depthwise => {
            let (x, grad) = (x.to_contiguous(), grad.to_contiguous());
            let output = sizes(&grad);
            let geometry = geometry(input, [output[2], output[3]], options);
            let run = match (kernel[2], options.stride) {
                (3, 1) => depthwise::backward_weight::<3, 1>,
                (3, _) => depthwise::backward_weight::<3, 2>,
                (_, 1) => depthwise::backward_weight::<5, 1>,
                (_, _) => depthwise::backward_weight::<5, 2>,
            };
            tensor(run(x.storage(), grad.storage(), input[1], geometry), kernel)
        }
        Kind::Pointwise => {
            let [batch, inputs, height, width] = input;
            let outputs = kernel[0];
            let x = Flex::float_reshape(x, [batch, inputs, height * width].into());
            let grad = Flex::float_reshape(grad, [batch, outputs, height * width].into());
            let products = Flex::float_matmul(grad, Flex::float_swap_dims(x, 1, 2));
            let sum = Flex::float_sum_dim(products, 0);
            Flex::float_reshape(sum, kernel.into())
        }
        Kind::Other => plain::backward_weight::<Flex>(x, weight, grad, options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;

    #[test]
    fn lite0_runs_on_the_kernels() {
        let same = ConvolutionOptions::same([17, 20], 5, 2).with_activation(Activation::Relu6);
        let input = [2, 96, 17, 20];
        let depthwise = same.with_groups(96);
        assert!(matches!(
            kind(input, [96, 1, 5, 5], depthwise),
            Kind::Depthwise
        ));
        let pointwise = ConvolutionOptions::same([17, 20], 1, 1);
        assert!(matches!(
            kind(input, [24, 96, 1, 1], pointwise),
            Kind::Pointwise
        ));
        assert!(matches!(kind(input, [24, 96, 5, 5], same), Kind::Other));
    }
}
