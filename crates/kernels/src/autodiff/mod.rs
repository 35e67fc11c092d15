//! The operators under autodiff: [`KernelBackend`] for [`Autodiff`].

mod nodes;

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::tensor::TensorMetadata;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::{FloatTensor, FloatTensorOps, IntTensor};

use crate::KernelBackend;
use crate::activation::Activation;
use crate::convolution::ConvolutionOptions;
use crate::focal_loss::FocalLoss;
use crate::layout::ChannelAxis;
use crate::low_rank::LowRankPrimitives;
use crate::roi_align::{Roi, RoiAlign};
use crate::self_attention::Heads;
use crate::window::Windows;
use nodes::{
    Add, AddNearest, Attention, BatchNorm, BiasActivation, BiasActivationState, Convolution,
    ConvolutionState, CrossEntropy, Depthwise, DepthwiseState, Focal, LayerNorm, LayerScale,
    Linear, LinearState, LowRank, MoveChannels, ResizeBilinear, RoiAlignment, Softmax,
    WindowAttention,
};

impl<B: KernelBackend, C: CheckpointStrategy> KernelBackend for Autodiff<B, C> {
    fn layer_norm_rows(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [rows.node.clone(), gamma.node.clone(), beta.node.clone()];
        let output = B::layer_norm_rows(
            rows.primitive.clone(),
            gamma.primitive.clone(),
            beta.primitive,
            epsilon,
        );
        let prep = LayerNorm.prepare::<C>(nodes).compute_bound();
        finish(
            prep.stateful(),
            (rows.primitive, gamma.primitive, epsilon),
            output,
        )
    }

    fn layer_scale_rows(rows: FloatTensor<Self>, gamma: FloatTensor<Self>) -> FloatTensor<Self> {
        let output = B::layer_scale_rows(rows.primitive.clone(), gamma.primitive.clone());
        let (are_rows_tracked, is_gamma_tracked) =
            (is_tracked::<B, C>(&rows), is_tracked::<B, C>(&gamma));
        let state = (
            is_gamma_tracked.then_some(rows.primitive),
            are_rows_tracked.then_some(gamma.primitive),
        );
        let prep = LayerScale
            .prepare::<C>([rows.node, gamma.node])
            .compute_bound();
        finish(prep.stateful(), state, output)
    }

    fn add(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [a.node.clone(), b.node.clone()];
        let prep = Add.prepare::<C>(nodes).compute_bound();
        finish(prep.stateful(), (), B::add(a.primitive, b.primitive))
    }

    fn move_channels(x: FloatTensor<Self>, to: ChannelAxis) -> FloatTensor<Self> {
        let prep = MoveChannels.prepare::<C>([x.node.clone()]).compute_bound();
        finish(
            prep.stateful(),
            to.other(),
            B::move_channels(x.primitive, to),
        )
    }

    fn add_nearest(fine: FloatTensor<Self>, coarse: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [fine.node.clone(), coarse.node.clone()];
        let shape = coarse.shape();
        let prep = AddNearest.prepare::<C>(nodes).compute_bound();
        let output = B::add_nearest(fine.primitive, coarse.primitive);
        finish(prep.stateful(), [shape[2], shape[3]], output)
    }

    fn bias_activation(
        x: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let tracked = is_tracked::<B, C>(&x) || bias.as_ref().is_some_and(is_tracked::<B, C>);
        let (x_node, x) = (x.node.clone(), x.primitive);
        let (bias_node, bias) = match bias {
            Some(bias) => (Some(bias.node.clone()), Some(bias.primitive)),
            None => (None, None),
        };
        // A clone is taken only where it is kept, so that otherwise the pass is in place.
        let input = (tracked && activation == Activation::Gelu).then(|| x.clone());
        let output = B::bias_activation(x, bias.clone(), activation);
        let rectified = tracked && matches!(activation, Activation::Relu | Activation::Relu6);
        let state = BiasActivationState {
            bias: bias.filter(|_| input.is_some()),
            kept: input.or_else(|| rectified.then(|| output.clone())),
            activation,
        };
        match bias_node {
            Some(bias) => {
                let prep = BiasActivation.prepare::<C>([x_node, bias]).compute_bound();
                finish(prep.stateful(), state, output)
            }
            None => {
                let prep = BiasActivation.prepare::<C>([x_node]).compute_bound();
                finish(prep.stateful(), state, output)
            }
        }
    }

    fn linear_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        if activation != Activation::Identity {
            let output = Self::linear_rows(x, weight, bias, Activation::Identity);
            let shape = output.shape();
            let [rows, channels] = shape.dims();
            let output = Self::float_reshape(output, [rows, channels, 1].into());
            return Self::float_reshape(Self::bias_activation(output, None, activation), shape);
        }
        let output = B::linear_rows(
            x.primitive.clone(),
            weight.primitive.clone(),
            bias.as_ref().map(|bias| bias.primitive.clone()),
            activation,
        );
        let (is_x_tracked, is_weight_tracked) =
            (is_tracked::<B, C>(&x), is_tracked::<B, C>(&weight));
        let state = LinearState {
            input: is_weight_tracked.then_some(x.primitive),
            weight: is_x_tracked.then_some(weight.primitive),
        };
        let (x, weight) = (x.node, weight.node);
        match bias {
            Some(bias) => {
                let prep = Linear.prepare::<C>([x, weight, bias.node]).compute_bound();
                finish(prep.stateful(), state, output)
            }
            None => {
                let prep = Linear.prepare::<C>([x, weight]).compute_bound();
                finish(prep.stateful(), state, output)
            }
        }
    }

    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        let size = x.shape().dims();
        let tracked = is_tracked::<B, C>(&x)
            || is_tracked::<B, C>(&weight)
            || bias.as_ref().is_some_and(is_tracked::<B, C>);
        let output = B::convolution(
            x.primitive.clone(),
            weight.primitive.clone(),
            bias.as_ref().map(|bias| bias.primitive.clone()),
            options,
        );
        let rectified = tracked && options.activation != Activation::Identity;
        let state = ConvolutionState {
            input: is_tracked::<B, C>(&weight).then_some(x.primitive),
            weight: weight.primitive,
            output: rectified.then(|| output.clone()),
            size,
            options,
        };
        let (x, weight) = (x.node, weight.node);
        match bias {
            Some(bias) => {
                let prep = Convolution
                    .prepare::<C>([x, weight, bias.node])
                    .compute_bound();
                finish(prep.stateful(), state, output)
            }
            None => {
                let prep = Convolution.prepare::<C>([x, weight]).compute_bound();
                finish(prep.stateful(), state, output)
            }
        }
    }

    fn depthwise_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        let [_, _, kernel, _] = weight.shape().dims();
        let output = B::depthwise_convolution(
            x.primitive.clone(),
            weight.primitive.clone(),
            bias.as_ref().map(|bias| bias.primitive.clone()),
        );
        let (is_x_tracked, is_weight_tracked) =
            (is_tracked::<B, C>(&x), is_tracked::<B, C>(&weight));
        let state = DepthwiseState {
            input: is_weight_tracked.then_some(x.primitive),
            weight: is_x_tracked.then_some(weight.primitive),
            kernel,
        };
        let (x, weight) = (x.node, weight.node);
        match bias {
            Some(bias) => {
                let prep = Depthwise
                    .prepare::<C>([x, weight, bias.node])
                    .compute_bound();
                finish(prep.stateful(), state, output)
            }
            None => {
                let prep = Depthwise.prepare::<C>([x, weight]).compute_bound();
                finish(prep.stateful(), state, output)
            }
        }
    }

    fn low_rank_bottleneck(
        input: FloatTensor<Self>,
        weights: LowRankPrimitives<Self>,
        axis: ChannelAxis,
    ) -> FloatTensor<Self> {
        let [a, b, c, d, e, f] = &weights;
        let nodes = [&input, a, b, c, d, e, f].map(|tensor| tensor.node.clone());
        let weights = weights.map(|weight| weight.primitive);
        let output = B::low_rank_bottleneck(input.primitive.clone(), weights.clone(), axis);
        let prep = LowRank.prepare::<C>(nodes).compute_bound();
        finish(prep.stateful(), (input.primitive, weights, axis), output)
    }

    fn batch_norm_train(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        let nodes = [input.node.clone(), gamma.node.clone(), beta.node.clone()];
        let [output, mean, variance] = B::batch_norm_train(
            input.primitive.clone(),
            gamma.primitive.clone(),
            beta.primitive,
            epsilon,
        );
        let prep = BatchNorm.prepare::<C>(nodes).compute_bound();
        let output = finish(
            prep.stateful(),
            (
                input.primitive,
                gamma.primitive,
                [mean.clone(), variance.clone()],
                epsilon,
            ),
            output,
        );
        // The statistics feed the running averages alone: no gradient passes there.
        [output, Self::from_inner(mean), Self::from_inner(variance)]
    }

    fn cross_entropy_map(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        size: [usize; 2],
    ) -> [FloatTensor<Self>; 2] {
        let prep = CrossEntropy
            .prepare::<C>([logits.node.clone()])
            .compute_bound();
        let (logits, weights) = (logits.primitive, weights.primitive);
        let [loss, normalisers] =
            B::cross_entropy_map(logits.clone(), labels.clone(), weights.clone(), size);
        let state = (logits, normalisers.clone(), labels, weights, size);
        let loss = finish(prep.stateful(), state, loss);
        [loss, Self::from_inner(normalisers)]
    }

    fn resize_bilinear(x: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        let shape = x.shape();
        let prep = ResizeBilinear
            .prepare::<C>([x.node.clone()])
            .compute_bound();
        let output = B::resize_bilinear(x.primitive, size);
        finish(prep.stateful(), [shape[2], shape[3]], output)
    }

    fn focal_loss(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        options: FocalLoss,
    ) -> FloatTensor<Self> {
        let prep = Focal.prepare::<C>([logits.node.clone()]).compute_bound();
        let loss = B::focal_loss(logits.primitive.clone(), labels.clone(), options);
        finish(prep.stateful(), (logits.primitive, labels, options), loss)
    }

    fn roi_align(x: FloatTensor<Self>, rois: Arc<[Roi]>, options: RoiAlign) -> FloatTensor<Self> {
        let shape = x.shape().dims();
        let prep = RoiAlignment.prepare::<C>([x.node.clone()]).compute_bound();
        let output = B::roi_align(x.primitive, rois.clone(), options);
        finish(prep.stateful(), (rois, options, shape), output)
    }

    fn softmax_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let prep = Softmax.prepare::<C>([x.node.clone()]).compute_bound();
        let output = B::softmax_rows(x.primitive);
        finish(prep.stateful(), output.clone(), output)
    }

    fn top_k(x: FloatTensor<Self>, count: usize) -> (FloatTensor<Self>, IntTensor<Self>) {
        let (values, places) = B::top_k(x.primitive, count);
        (Self::from_inner(values), places)
    }

    fn most_likely(logits: FloatTensor<Self>) -> IntTensor<Self> {
        B::most_likely(logits.primitive)
    }

    fn nms(bounds: FloatTensor<Self>, threshold: f32) -> FloatTensor<Self> {
        Self::from_inner(B::nms(bounds.primitive, threshold))
    }

    fn self_attention(qkv: FloatTensor<Self>, heads: Heads<Self>) -> FloatTensor<Self> {
        let prep = Attention.prepare::<C>([qkv.node.clone()]).compute_bound();
        let heads = Heads {
            count: heads.count,
            rotations: heads
                .rotations
                .map(|parts| parts.map(|part| part.primitive)),
        };
        let output = B::self_attention(qkv.primitive.clone(), heads.clone());
        finish(prep.stateful(), (qkv.primitive, heads), output)
    }

    fn window_attention(
        qkv: FloatTensor<Self>,
        table: FloatTensor<Self>,
        windows: Windows,
    ) -> FloatTensor<Self> {
        let nodes = [qkv.node.clone(), table.node.clone()];
        let (qkv, table) = (qkv.primitive, table.primitive);
        let output = B::window_attention(qkv.clone(), table.clone(), windows);
        let prep = WindowAttention.prepare::<C>(nodes).compute_bound();
        finish(prep.stateful(), (qkv, table, windows), output)
    }
}

/// Finishes the preparation of an operator. The saved state is dropped if no input is tracked.
fn finish<B, C, Op, const N: usize>(
    kind: OpsKind<Op, B, Op::State, C, N>,
    state: Op::State,
    output: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>>
where
    B: KernelBackend,
    C: CheckpointStrategy,
    Op: Backward<B, N>,
{
    match kind {
        OpsKind::Tracked(prep) => prep.finish(state, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

fn is_tracked<B: KernelBackend, C: CheckpointStrategy>(
    tensor: &FloatTensor<Autodiff<B, C>>,
) -> bool {
    !tensor.node.requirement.is_none()
}
