//! Dense convolutions on a GPU's matrix units.
//!
//! Without its tuner Burn uses a loop over taps, which is twenty to fifty times slower.

use burn::tensor::ops::ConvOptions;
use burn_cubecl::kernel::conv::{
    ConvStrategy, conv_data_backward, conv_forward, conv_weight_backward,
};
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};

/// The convolution; `None` if the device has no matrix units for it.
pub(super) fn forward<R: CubeRuntime>(
    x: CubeTensor<R>,
    weight: CubeTensor<R>,
    options: ConvOptions<2>,
) -> Option<CubeTensor<R>> {
    conv_forward(x, weight, None, options, ConvStrategy::ImplicitGemm).ok()
}

/// The gradient of an input of `size`.
pub(super) fn backward_input<R: CubeRuntime>(
    size: [usize; 4],
    weight: CubeTensor<R>,
    grad: CubeTensor<R>,
    options: ConvOptions<2>,
) -> Option<CubeTensor<R>> {
    let strategy = ConvStrategy::ImplicitGemm;
    conv_data_backward(grad, weight, size.into(), options, strategy).ok()
}

/// The gradient of a weight of `size`.
pub(super) fn backward_weight<R: CubeRuntime>(
    x: CubeTensor<R>,
    grad: CubeTensor<R>,
    size: [usize; 4],
    options: ConvOptions<2>,
) -> Option<CubeTensor<R>> {
    let strategy = ConvStrategy::ImplicitGemm;
    conv_weight_backward(x, grad, size.into(), options, strategy).ok()
}
