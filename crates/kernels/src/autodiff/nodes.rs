//! The backward pass of each operator: a graph node whose state holds only what that pass needs.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::tensor::TensorMetadata;
use burn::tensor::ops::{FloatTensor, IntTensor};

use crate::KernelBackend;
use crate::activation::Activation;
use crate::convolution::ConvolutionOptions;
use crate::depthwise::turned;
use crate::focal_loss::FocalLoss;
use crate::layout::ChannelAxis;
use crate::low_rank::LowRankPrimitives;
use crate::roi_align::{Roi, RoiAlign};
use crate::self_attention::Heads;
use crate::window::Windows;

#[derive(Debug)]
pub(super) struct LayerNorm;

impl<B: KernelBackend> Backward<B, 3> for LayerNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (rows, gamma, epsilon) = ops.state;
        let gradients = B::layer_norm_backward(rows, gamma, grad, epsilon);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct LayerScale;

impl<B: KernelBackend> Backward<B, 2> for LayerScale {
    /// The rows for the gradient of the scale, and the scale for that of the rows.
    type State = (Option<FloatTensor<B>>, Option<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (rows, gamma) = ops.state;
        let [rows_parent, gamma_parent] = ops.parents;
        if let (Some(parent), Some(rows)) = (gamma_parent, rows) {
            let [count, channels] = rows.shape().dims();
            let products = B::float_mul(rows, grad.clone());
            let products = B::float_reshape(products, [count, channels, 1].into());
            grads.register::<B>(parent.id, B::channel_sum(products));
        }
        if let (Some(parent), Some(gamma)) = (rows_parent, gamma) {
            grads.register::<B>(parent.id, B::layer_scale_rows(grad, gamma));
        }
    }
}

#[derive(Debug)]
pub(super) struct BatchNorm;

impl<B: KernelBackend> Backward<B, 3> for BatchNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, [FloatTensor<B>; 2], f64);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (input, gamma, statistics, epsilon) = ops.state;
        let gradients = B::batch_norm_backward(input, gamma, statistics, grad, epsilon);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct CrossEntropy;

impl<B: KernelBackend> Backward<B, 1> for CrossEntropy {
    /// Logits, normalisers, labels, weights, height and width of the labels.
    type State = (
        FloatTensor<B>,
        FloatTensor<B>,
        IntTensor<B>,
        FloatTensor<B>,
        [usize; 2],
    );

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (logits, normalisers, labels, weights, size) = ops.state;
        if let [Some(parent)] = ops.parents {
            let gradient =
                B::cross_entropy_backward(logits, normalisers, labels, weights, grad, size);
            grads.register::<B>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
pub(super) struct Focal;

impl<B: KernelBackend> Backward<B, 1> for Focal {
    /// Logits, labels.
    type State = (FloatTensor<B>, IntTensor<B>, FocalLoss);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (logits, labels, options) = ops.state;
        if let [Some(parent)] = ops.parents {
            let gradient = B::focal_loss_backward(logits, labels, grad, options);
            grads.register::<B>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
pub(super) struct AddNearest;

impl<B: KernelBackend> Backward<B, 2> for AddNearest {
    /// Height and width of the coarse map.
    type State = [usize; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [fine, coarse] = ops.parents;
        if let Some(parent) = coarse {
            let gradient = B::add_nearest_backward(grad.clone(), ops.state);
            grads.register::<B>(parent.id, gradient);
        }
        if let Some(parent) = fine {
            grads.register::<B>(parent.id, grad);
        }
    }
}

#[derive(Debug)]
pub(super) struct ResizeBilinear;

impl<B: KernelBackend> Backward<B, 1> for ResizeBilinear {
    /// Height and width of the input.
    type State = [usize; 2];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            let gradient = B::resize_bilinear_backward(grad, ops.state);
            grads.register::<B>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
pub(super) struct RoiAlignment;

impl<B: KernelBackend> Backward<B, 1> for RoiAlignment {
    /// Regions, and the shape of the input.
    type State = (Arc<[Roi]>, RoiAlign, [usize; 4]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (rois, options, shape) = ops.state;
        if let [Some(parent)] = ops.parents {
            let gradient = B::roi_align_backward(grad, rois, options, shape);
            grads.register::<B>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
pub(super) struct Softmax;

impl<B: KernelBackend> Backward<B, 1> for Softmax {
    /// The output.
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::softmax_backward(ops.state, grad));
        }
    }
}

#[derive(Debug)]
pub(super) struct Attention;

impl<B: KernelBackend> Backward<B, 1> for Attention {
    /// Queries, keys and values.
    type State = (FloatTensor<B>, Heads<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (qkv, heads) = ops.state;
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::self_attention_backward(qkv, heads, grad));
        }
    }
}

#[derive(Debug)]
pub(super) struct WindowAttention;

impl<B: KernelBackend> Backward<B, 2> for WindowAttention {
    /// Queries, keys and values; the table.
    type State = (FloatTensor<B>, FloatTensor<B>, Windows);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (qkv, table, windows) = ops.state;
        let [qkv_parent, table_parent] = ops.parents;
        let (grad_qkv, grad_table) =
            B::window_attention_backward(qkv, table, grad, windows, table_parent.is_some());
        if let Some(parent) = qkv_parent {
            grads.register::<B>(parent.id, grad_qkv);
        }
        if let (Some(parent), Some(gradient)) = (table_parent, grad_table) {
            grads.register::<B>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
pub(super) struct Add;

impl<B: KernelBackend> Backward<B, 2> for Add {
    type State = ();

    fn backward(self, ops: Ops<(), 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        for parent in ops.parents.into_iter().flatten() {
            grads.register::<B>(parent.id, grad.clone());
        }
    }
}

#[derive(Debug)]
pub(super) struct MoveChannels;

impl<B: KernelBackend> Backward<B, 1> for MoveChannels {
    /// The axis of the channels before the move.
    type State = ChannelAxis;

    fn backward(self, ops: Ops<ChannelAxis, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::move_channels(grad, ops.state));
        }
    }
}

#[derive(Debug)]
pub(super) struct BiasActivation;

/// The saved state of [`BiasActivation`]: the input and bias of GELU, or the output of a rectifier.
#[derive(Debug, Clone)]
pub(super) struct BiasActivationState<B: KernelBackend> {
    pub(super) kept: Option<FloatTensor<B>>,
    pub(super) bias: Option<FloatTensor<B>>,
    pub(super) activation: Activation,
}

// The parents are the input and, where there is one, the bias.
impl<B: KernelBackend, const N: usize> Backward<B, N> for BiasActivation {
    type State = BiasActivationState<B>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let grad = match state.kept {
            Some(kept) => B::bias_activation_backward(kept, state.bias, grad, state.activation),
            None => grad,
        };
        let mut parents = ops.parents.into_iter();
        let (input, bias) = (parents.next().flatten(), parents.next().flatten());
        if let Some(bias) = bias {
            grads.register::<B>(bias.id, B::channel_sum(grad.clone()));
        }
        if let Some(input) = input {
            grads.register::<B>(input.id, grad);
        }
    }
}

#[derive(Debug)]
pub(super) struct Linear;

/// The saved state of [`Linear`]: the input for the weight's gradient, and the weight for the input's gradient.
#[derive(Debug, Clone)]
pub(super) struct LinearState<B: KernelBackend> {
    pub(super) input: Option<FloatTensor<B>>,
    pub(super) weight: Option<FloatTensor<B>>,
}

// The parents are the input, the weight and, where there is one, the bias.
impl<B: KernelBackend, const N: usize> Backward<B, N> for Linear {
    type State = LinearState<B>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let LinearState { input, weight } = ops.state;
        let mut parents = ops.parents.into_iter();
        let mut parent = || parents.next().flatten();
        let (input_parent, weight_parent, bias_parent) = (parent(), parent(), parent());
        if let Some(bias) = bias_parent {
            let [rows, channels] = grad.shape().dims();
            let grad = B::float_reshape(grad.clone(), [rows, channels, 1].into());
            grads.register::<B>(bias.id, B::channel_sum(grad));
        }
        if let (Some(parent), Some(input)) = (weight_parent, input) {
            let gradient = B::linear_backward_weight(input, grad.clone());
            grads.register::<B>(parent.id, gradient);
        }
        if let (Some(parent), Some(weight)) = (input_parent, weight) {
            let weight = B::float_transpose(weight);
            let gradient = B::linear_rows(grad, weight, None, Activation::Identity);
            grads.register::<B>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
pub(super) struct Convolution;

/// The saved state of [`Convolution`]: the input for the weight's gradient, and the weight for the input's gradient.
#[derive(Debug, Clone)]
pub(super) struct ConvolutionState<B: KernelBackend> {
    pub(super) input: Option<FloatTensor<B>>,
    pub(super) weight: FloatTensor<B>,
    pub(super) output: Option<FloatTensor<B>>,
    pub(super) size: [usize; 4],
    pub(super) options: ConvolutionOptions,
}

// The parents are the input, the weight and, where there is one, the bias.
impl<B: KernelBackend, const N: usize> Backward<B, N> for Convolution {
    type State = ConvolutionState<B>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ConvolutionState {
            input,
            weight,
            output,
            size,
            options,
        } = ops.state;
        let shape = grad.shape();
        let rows = [shape[0], shape[1], shape[2] * shape[3]];
        let grad = match output {
            Some(output) => {
                let [output, grad] = [output, grad].map(|x| B::float_reshape(x, rows.into()));
                B::bias_activation_backward(output, None, grad, options.activation)
            }
            None => B::float_reshape(grad, rows.into()),
        };
        let mut parents = ops.parents.into_iter();
        let mut parent = || parents.next().flatten();
        let (input_parent, weight_parent, bias_parent) = (parent(), parent(), parent());
        if let Some(bias) = bias_parent {
            grads.register::<B>(bias.id, B::channel_sum(grad.clone()));
        }
        let grad = B::float_reshape(grad, shape);
        if let (Some(parent), Some(input)) = (weight_parent, input) {
            let gradient =
                B::convolution_backward_weight(input, weight.clone(), grad.clone(), options);
            grads.register::<B>(parent.id, gradient);
        }
        if let Some(parent) = input_parent {
            let gradient = B::convolution_backward_input(size, weight, grad, options);
            grads.register::<B>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
pub(super) struct Depthwise;

/// The saved state of [`Depthwise`]: the input for the weight's gradient, and the weight for the input's gradient.
#[derive(Debug, Clone)]
pub(super) struct DepthwiseState<B: KernelBackend> {
    pub(super) input: Option<FloatTensor<B>>,
    pub(super) weight: Option<FloatTensor<B>>,
    /// Side of the kernel.
    pub(super) kernel: usize,
}

// The parents are the input, the weight and, where there is one, the bias.
impl<B: KernelBackend, const N: usize> Backward<B, N> for Depthwise {
    type State = DepthwiseState<B>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let DepthwiseState {
            input,
            weight,
            kernel,
        } = ops.state;
        let mut parents = ops.parents.into_iter();
        let mut parent = || parents.next().flatten();
        let (input_parent, weight_parent, bias_parent) = (parent(), parent(), parent());
        if let Some(bias) = bias_parent {
            let [batch, height, width, channels] = grad.shape().dims();
            let rows = [batch * height * width, channels, 1];
            let grad = B::float_reshape(grad.clone(), rows.into());
            grads.register::<B>(bias.id, B::channel_sum(grad));
        }
        if let (Some(parent), Some(input)) = (weight_parent, input) {
            let gradient = B::depthwise_backward_weight(input, grad.clone(), kernel);
            grads.register::<B>(parent.id, gradient);
        }
        if let (Some(parent), Some(weight)) = (input_parent, weight) {
            let gradient = B::depthwise_convolution(grad, turned::<B>(weight), None);
            grads.register::<B>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
pub(super) struct LowRank;

impl<B: KernelBackend> Backward<B, 7> for LowRank {
    type State = (FloatTensor<B>, LowRankPrimitives<B>, ChannelAxis);

    fn backward(self, ops: Ops<Self::State, 7>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (input, weights, axis) = ops.state;
        let [input_parent, weight_parents @ ..] = ops.parents;
        let (input, weights) =
            B::low_rank_backward(input, weights, grad, axis, input_parent.is_some());
        if let (Some(parent), Some(gradient)) = (input_parent, input) {
            grads.register::<B>(parent.id, gradient);
        }
        for (parent, gradient) in weight_parents.into_iter().zip(weights) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}
