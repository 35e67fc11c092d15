//! The backward passes: [`KernelBackend`] for [`Autodiff`].
//!
//! Each operator is one node of the graph. Its state is what the backward pass needs and nothing
//! more; that is the whole point of stating it by hand.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::TensorMetadata;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::{FloatTensor, FloatTensorOps, IntTensor};

use crate::KernelBackend;
use crate::activation::Activation;
use crate::convolution::ConvolutionOptions;
use crate::low_rank::{ChannelAxis, LowRankPrimitives};
use crate::window::Windows;

#[derive(Debug)]
struct LayerNorm;

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
struct BatchNorm;

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
struct CrossEntropy;

impl<B: KernelBackend> Backward<B, 1> for CrossEntropy {
    /// Logits, normalisers, labels, weights.
    type State = (FloatTensor<B>, FloatTensor<B>, IntTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (logits, normalisers, labels, weights) = ops.state;
        if let [Some(parent)] = ops.parents {
            let gradient = B::cross_entropy_backward(logits, normalisers, labels, weights, grad);
            grads.register::<B>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
struct ResizeBilinear;

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
struct Softmax;

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
struct WindowAttention;

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

/// Ends the preparation of an operator: what it keeps is dropped where nothing is tracked.
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

#[derive(Debug)]
struct Add;

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
struct BiasActivation;

/// What [`BiasActivation`] keeps: the input and bias of GELU, the output of a rectifier.
#[derive(Debug, Clone)]
struct BiasActivationState<B: KernelBackend> {
    kept: Option<FloatTensor<B>>,
    bias: Option<FloatTensor<B>>,
    activation: Activation,
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
struct Linear;

/// What [`Linear`] keeps: the input for the weight's gradient, the weight for the input's.
#[derive(Debug, Clone)]
struct LinearState<B: KernelBackend> {
    input: Option<FloatTensor<B>>,
    weight: Option<FloatTensor<B>>,
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
struct Convolution;

/// What [`Convolution`] keeps: the input for the weight's gradient, the weight for the input's.
#[derive(Debug, Clone)]
struct ConvolutionState<B: KernelBackend> {
    input: Option<FloatTensor<B>>,
    weight: FloatTensor<B>,
    output: Option<FloatTensor<B>>,
    size: [usize; 4],
    options: ConvolutionOptions,
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
struct LowRank;

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

    fn add(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [a.node.clone(), b.node.clone()];
        let prep = Add.prepare::<C>(nodes).compute_bound();
        finish(prep.stateful(), (), B::add(a.primitive, b.primitive))
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
    ) -> [FloatTensor<Self>; 2] {
        let prep = CrossEntropy
            .prepare::<C>([logits.node.clone()])
            .compute_bound();
        let (logits, weights) = (logits.primitive, weights.primitive);
        let [loss, normalisers] =
            B::cross_entropy_map(logits.clone(), labels.clone(), weights.clone());
        let state = (logits, normalisers.clone(), labels, weights);
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

    fn softmax_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let prep = Softmax.prepare::<C>([x.node.clone()]).compute_bound();
        let output = B::softmax_rows(x.primitive);
        finish(prep.stateful(), output.clone(), output)
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
