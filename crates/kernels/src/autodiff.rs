//! The backward passes: [`KernelBackend`] for [`Autodiff`].
//!
//! Each operator is one node of the graph. Its state is what the backward pass needs and nothing
//! more; that is the whole point of stating it by hand.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::{FloatTensor, IntTensor};

use crate::KernelBackend;
use crate::low_rank::{ChannelAxis, LowRankPrimitives};
use crate::{batch_norm, cross_entropy, layer_norm, low_rank};

#[derive(Debug)]
struct LayerNorm;

impl<B: KernelBackend> Backward<B, 3> for LayerNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (rows, gamma, epsilon) = ops.state;
        let gradients = layer_norm::backward::<B>(rows, gamma, grad, epsilon);
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
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (input, gamma, epsilon) = ops.state;
        let gradients = batch_norm::backward::<B>(input, gamma, grad, epsilon);
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
    type State = (FloatTensor<B>, IntTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (log_probabilities, labels, weights) = ops.state;
        if let [Some(parent)] = ops.parents {
            let gradient = cross_entropy::backward::<B>(log_probabilities, labels, weights, grad);
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
            low_rank::backward::<B>(input, weights, grad, axis, input_parent.is_some());
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
        match LayerNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish((rows.primitive, gamma.primitive, epsilon), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
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
        match LowRank.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((input.primitive, weights, axis), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
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
        let output = match BatchNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish((input.primitive, gamma.primitive, epsilon), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        // The statistics feed the running averages alone: no gradient passes there.
        [output, Self::from_inner(mean), Self::from_inner(variance)]
    }

    fn cross_entropy_rows(
        rows: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [rows.node.clone()];
        let weights = weights.primitive;
        let (output, log_probabilities) =
            cross_entropy::forward::<B>(rows.primitive, labels.clone(), weights.clone());
        match CrossEntropy.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((log_probabilities, labels, weights), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
