//! A scale and a shift for every channel of a map.

use burn::tensor::Tensor;

use crate::primitive::{float, tensor};
use crate::{ChannelAxis, KernelBackend};

/// `scale * x + shift`.
///
/// # Shapes
///
/// - `x`, output: `[batch, height, width, channels]` or `[batch, channels, height, width]`, according to `axis`
/// - `scale`, `shift`: `[channels]`
pub fn scale_and_shift<B: KernelBackend>(
    x: Tensor<B, 4>,
    scale: Tensor<B, 1>,
    shift: Tensor<B, 1>,
    axis: ChannelAxis,
) -> Tensor<B, 4> {
    let shape = x.shape();
    match axis {
        ChannelAxis::Last => {
            // One row that all positions share: the broadcast that is fast everywhere.
            let channels = shape[3];
            let rows = x.reshape([shape.num_elements() / channels, channels]);
            (rows * scale.unsqueeze() + shift.unsqueeze()).reshape(shape)
        }
        ChannelAxis::First => {
            let [batch, channels, height, width] = shape.dims();
            let x = x.reshape([batch, channels, height * width]);
            let output = B::scale_and_shift(float(x), float(scale), float(shift));
            tensor::<B, 3>(output).reshape(shape)
        }
    }
}
