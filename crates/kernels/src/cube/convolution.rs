//! Dense convolutions on a card's matrix units, by plain Burn where the device has none for them.
//!
//! Without its tuner Burn uses a loop over taps, which is twenty to fifty times slower.

use burn::tensor::TensorMetadata;
use burn_cubecl::kernel::conv::{
    ConvStrategy, conv_data_backward, conv_forward, conv_weight_backward,
};
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};

use crate::backend::KernelBackend;
use crate::convolution::{self as plain, ConvolutionOptions, is_pointwise, padded};
use crate::primitive::{float, tensor};

/// On the matrix units.
const UNITS: ConvStrategy = ConvStrategy::ImplicitGemm;

/// The convolution, with bias and activation.
pub(super) fn forward<B, R>(
    x: CubeTensor<R>,
    weight: CubeTensor<R>,
    bias: Option<CubeTensor<R>>,
    options: ConvolutionOptions,
) -> CubeTensor<R>
where
    R: CubeRuntime,
    B: KernelBackend<FloatTensorPrimitive = CubeTensor<R>>,
{
    if options.groups == 1 && !is_pointwise(weight.shape().dims(), options) {
        let (x, burn) = padded::<B>(x.clone(), options);
        if let Ok(output) = conv_forward(x, weight.clone(), None, burn, UNITS) {
            let output = tensor::<B, 4>(output);
            let activation = options.activation;
            return float(crate::bias_activation(
                output,
                bias.map(tensor),
                1,
                activation,
            ));
        }
    }
    plain::forward::<B>(x, weight, bias, options)
}

/// The gradient of an input of `size`.
pub(super) fn backward_input<B, R>(
    size: [usize; 4],
    weight: CubeTensor<R>,
    grad: CubeTensor<R>,
    options: ConvolutionOptions,
) -> CubeTensor<R>
where
    R: CubeRuntime,
    B: KernelBackend<FloatTensorPrimitive = CubeTensor<R>>,
{
    let kernel: [usize; 4] = weight.shape().dims();
    if options.groups != 1 || is_pointwise(kernel, options) {
        return plain::backward_input::<B>(size, weight, grad, options);
    }
    // As without a stride, for a gradient with zeros between: Burn's own returns zeros where the
    // kernel is not longer than the stride.
    let grad = plain::spread::<B>(grad, size, kernel, options);
    let dense = ConvolutionOptions {
        stride: 1,
        ..options
    };
    // The matrix units' way is right where the output is as large as the input, and nowhere else.
    if dense.padding == [[kernel[2] / 2; 2], [kernel[3] / 2; 2]] && kernel[2] % 2 == 1 {
        let (_, burn, _) = plain::unpadded(size, dense);
        let found = conv_data_backward(grad.clone(), weight.clone(), size.into(), burn, UNITS);
        if let Ok(found) = found {
            return found;
        }
    }
    plain::backward_input::<B>(size, weight, grad, dense)
}

/// The gradient of a weight.
pub(super) fn backward_weight<B, R>(
    x: CubeTensor<R>,
    weight: CubeTensor<R>,
    grad: CubeTensor<R>,
    options: ConvolutionOptions,
) -> CubeTensor<R>
where
    R: CubeRuntime,
    B: KernelBackend<FloatTensorPrimitive = CubeTensor<R>>,
{
    let size: [usize; 4] = weight.shape().dims();
    if options.groups == 1 && !is_pointwise(size, options) {
        let (x, burn) = padded::<B>(x.clone(), options);
        if let Ok(found) = conv_weight_backward(x, grad.clone(), size.into(), burn, UNITS) {
            return found;
        }
    }
    plain::backward_weight::<B>(x, weight, grad, options)
}
