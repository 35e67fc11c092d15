//! LayerScale: a factor for every channel of rows.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// `gamma * x` for the last axis of `x` (Touvron et al. 2021, arXiv 2103.17239, equation 4).
///
/// # Shapes
///
/// - `x`, output: `[..., channels]`
/// - `gamma`: `[channels]`
pub fn layer_scale<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    gamma: Tensor<B, 1>,
) -> Tensor<B, D> {
    let shape = x.shape();
    let channels = gamma.dims()[0];
    let rows = x.reshape([shape.num_elements() / channels, channels]);
    let scaled = B::layer_scale_rows(float(rows), float(gamma));
    tensor::<B, 2>(scaled).reshape(shape)
}

/// [`layer_scale`] in plain Burn.
pub fn layer_scale_reference<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    gamma: Tensor<B, 1>,
) -> Tensor<B, D> {
    x * gamma.unsqueeze()
}

pub(crate) fn forward<B: KernelBackend>(
    rows: FloatTensor<B>,
    gamma: FloatTensor<B>,
) -> FloatTensor<B> {
    float(layer_scale_reference(tensor::<B, 2>(rows), tensor(gamma)))
}
