//! The dual low-rank bottleneck of E3VA.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use crate::KernelBackend;
use crate::activation::{Activation, bias_activation, bias_activation_reference};
use crate::layout::ChannelAxis;
use crate::primitive::{float, tensor};

/// The weights of a dual low-rank bottleneck: `W_D = down_in down_out`, `W_U = up_in up_out`.
#[derive(Debug, Clone)]
pub struct LowRankWeights<B: KernelBackend> {
    /// `[channels, rank]`
    pub down_in: Tensor<B, 2>,
    /// `[rank, middle]`
    pub down_out: Tensor<B, 2>,
    /// `[middle]`
    pub down_bias: Tensor<B, 1>,
    /// `[middle, rank]`
    pub up_in: Tensor<B, 2>,
    /// `[rank, channels]`
    pub up_out: Tensor<B, 2>,
    /// `[channels]`
    pub up_bias: Tensor<B, 1>,
}

/// The primitives of [`LowRankWeights`], in the order of its fields.
pub type LowRankPrimitives<B> = [FloatTensor<B>; 6];

impl<B: KernelBackend> LowRankWeights<B> {
    fn into_primitives(self) -> LowRankPrimitives<B> {
        [
            float(self.down_in),
            float(self.down_out),
            float(self.down_bias),
            float(self.up_in),
            float(self.up_out),
            float(self.up_bias),
        ]
    }

    fn from_primitives(weights: LowRankPrimitives<B>) -> Self {
        let [down_in, down_out, down_bias, up_in, up_out, up_bias] = weights;
        Self {
            down_in: tensor(down_in),
            down_out: tensor(down_out),
            down_bias: tensor(down_bias),
            up_in: tensor(up_in),
            up_out: tensor(up_out),
            up_bias: tensor(up_bias),
        }
    }
}

/// `E(z) = W_U gelu(W_D z + b_D) + b_U` with both projections factorised (E3VA, the adapter).
///
/// Under autodiff the only map that is kept is `z`, which the frozen backbone computes anyway. The backward
/// pass recomputes the two rank-wide and two half-width maps from it, one adapter at a time. Composed from
/// primitives the same adapter keeps twice the bytes of `z`.
///
/// # Shapes
///
/// - `z`: `[batch, height, width, channels]` or `[batch, channels, height, width]`, as `axis` says
/// - output: as `z`
pub fn low_rank_adapter<B: KernelBackend>(
    z: Tensor<B, 4>,
    weights: LowRankWeights<B>,
    axis: ChannelAxis,
) -> Tensor<B, 4> {
    let shape = z.shape();
    let [a, b, c, d] = z.dims();
    let z = match axis {
        // One batch of all positions: a single product instead of one per image.
        ChannelAxis::Last => z.reshape([1, a * b * c, d]),
        ChannelAxis::First => z.reshape([a, b, c * d]),
    };
    let output = B::low_rank_bottleneck(float(z), weights.into_primitives(), axis);
    tensor::<B, 3>(output).reshape(shape)
}

/// [`low_rank_adapter`] in plain Burn.
pub fn low_rank_adapter_reference<B: KernelBackend>(
    z: Tensor<B, 4>,
    weights: LowRankWeights<B>,
    axis: ChannelAxis,
) -> Tensor<B, 4> {
    let z = match axis {
        ChannelAxis::Last => z,
        ChannelAxis::First => z.permute([0, 2, 3, 1]),
    };
    let down = weights.down_in.matmul(weights.down_out);
    let up = weights.up_in.matmul(weights.up_out);
    let hidden = z.matmul(down.unsqueeze()) + weights.down_bias.unsqueeze();
    let active = bias_activation_reference(hidden, None, 3, Activation::Gelu);
    let output = active.matmul(up.unsqueeze()) + weights.up_bias.unsqueeze();
    match axis {
        ChannelAxis::Last => output,
        ChannelAxis::First => output.permute([0, 3, 1, 2]),
    }
}

/// `x W` over the channel axis of `[batch, positions, inputs]` or `[batch, inputs, positions]`.
fn project<B: KernelBackend>(
    x: Tensor<B, 3>,
    weight: Tensor<B, 2>,
    axis: ChannelAxis,
) -> Tensor<B, 3> {
    match axis {
        ChannelAxis::Last => x.matmul(weight.unsqueeze()),
        ChannelAxis::First => weight.transpose().unsqueeze::<3>().matmul(x),
    }
}

/// `activation(x + bias)` over the channel axis of `[batch, positions, channels]` or
/// `[batch, channels, positions]`.
fn activate<B: KernelBackend>(
    x: Tensor<B, 3>,
    bias: Tensor<B, 1>,
    axis: ChannelAxis,
    activation: Activation,
) -> Tensor<B, 3> {
    bias_activation(x, Some(bias), axis.of_rows(), activation)
}

/// The gradient of `x`, given the gradient `grad` of `gelu(x + bias)`.
fn gelu_backward<B: KernelBackend>(
    x: Tensor<B, 3>,
    bias: Tensor<B, 1>,
    grad: Tensor<B, 3>,
    axis: ChannelAxis,
) -> Tensor<B, 3> {
    let shape = x.shape();
    let (x, grad) = (by_channel(x, axis), by_channel(grad, axis));
    let grad = B::bias_activation_backward(x, Some(float(bias)), grad, Activation::Gelu);
    tensor::<B, 3>(grad).reshape(shape)
}

/// A map as `[outer, channels, inner]`, whichever axis its channels are on.
fn by_channel<B: KernelBackend>(x: Tensor<B, 3>, axis: ChannelAxis) -> FloatTensor<B> {
    let [batch, b, c] = x.dims();
    float(match axis {
        ChannelAxis::Last => x.reshape([batch * b, c, 1]),
        ChannelAxis::First => x,
    })
}

/// The gradient of a weight: `sum over positions of x^T grad`.
fn weight_gradient<B: KernelBackend>(
    x: Tensor<B, 3>,
    grad: Tensor<B, 3>,
    axis: ChannelAxis,
) -> Tensor<B, 2> {
    if axis == ChannelAxis::Last {
        let rows = |x: Tensor<B, 3>| {
            let [batch, positions, channels] = x.dims();
            float(x.reshape([batch * positions, channels]))
        };
        return tensor(B::linear_backward_weight(rows(x), rows(grad)));
    }
    let product = x.matmul(grad.swap_dims(1, 2));
    let [_, inputs, outputs] = product.dims();
    product.sum_dim(0).reshape([inputs, outputs])
}

/// The gradient of a bias: the sum of `grad` over all axes but the channels.
fn bias_gradient<B: KernelBackend>(grad: Tensor<B, 3>, axis: ChannelAxis) -> Tensor<B, 1> {
    tensor(B::channel_sum(by_channel(grad, axis)))
}

pub(crate) fn forward<B: KernelBackend>(
    z: FloatTensor<B>,
    weights: LowRankPrimitives<B>,
    axis: ChannelAxis,
) -> FloatTensor<B> {
    let weights = LowRankWeights::<B>::from_primitives(weights);
    let narrow = project(tensor::<B, 3>(z), weights.down_in, axis);
    let hidden = project(narrow, weights.down_out, axis);
    let active = activate(hidden, weights.down_bias, axis, Activation::Gelu);
    let narrow = project(active, weights.up_in, axis);
    let output = project(narrow, weights.up_out, axis);
    float(activate(
        output,
        weights.up_bias,
        axis,
        Activation::Identity,
    ))
}

/// The gradient of `z`, if requested, and of the six weights.
pub(crate) fn backward<B: KernelBackend>(
    z: FloatTensor<B>,
    weights: LowRankPrimitives<B>,
    grad: FloatTensor<B>,
    axis: ChannelAxis,
    input_tracked: bool,
) -> (Option<FloatTensor<B>>, LowRankPrimitives<B>) {
    let weights = LowRankWeights::<B>::from_primitives(weights);
    let z = tensor::<B, 3>(z);
    let grad = tensor::<B, 3>(grad);

    // Recompute what the forward pass let go.
    let down_narrow = project(z.clone(), weights.down_in.clone(), axis);
    let hidden = project(down_narrow.clone(), weights.down_out.clone(), axis);
    let bias = weights.down_bias;
    let active = activate(hidden.clone(), bias.clone(), axis, Activation::Gelu);
    let up_narrow = project(active.clone(), weights.up_in.clone(), axis);

    let up_bias = bias_gradient(grad.clone(), axis);
    let up_out = weight_gradient(up_narrow, grad.clone(), axis);
    let grad = project(grad, weights.up_out.transpose(), axis);
    let up_in = weight_gradient(active, grad.clone(), axis);
    let grad = project(grad, weights.up_in.transpose(), axis);
    let grad = gelu_backward(hidden, bias, grad, axis);
    let down_bias = bias_gradient(grad.clone(), axis);
    let down_out = weight_gradient(down_narrow, grad.clone(), axis);
    let grad = project(grad, weights.down_out.transpose(), axis);
    let down_in = weight_gradient(z, grad.clone(), axis);
    let input = input_tracked.then(|| float(project(grad, weights.down_in.transpose(), axis)));

    let gradients = LowRankWeights {
        down_in,
        down_out,
        down_bias,
        up_in,
        up_out,
        up_bias,
    };
    (input, gradients.into_primitives())
}
