//! The backend traits for the operators of this crate.

use std::sync::Arc;

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, Tensor};

use crate::activation::{self, Activation};
use crate::adamw::{self, AdamWStep, AdamWTensors};
use crate::convolution::{self, ConvolutionOptions};
use crate::focal_loss::FocalLoss;
use crate::layout::{self, ChannelAxis};
use crate::low_rank::LowRankPrimitives;
use crate::roi_align::{Roi, RoiAlign};
use crate::self_attention::{self, Heads};
use crate::window::Windows;
use crate::{
    add_nearest, batch_norm, cross_entropy, depthwise, focal_loss, layer_norm, layer_scale, linear,
    low_rank, most_likely, nms, resize, roi_align, softmax, top_k, window_attention,
};

/// Returns the number of live bytes of a device's memory.
pub type MemoryGauge = Box<dyn Fn() -> usize + Send + Sync>;

/// A Burn backend with the operators of this crate.
///
/// The default methods use plain Burn, so `impl KernelBackend for MyBackend {}` is enough for a new backend. A
/// backend with a faster implementation overrides the method.
pub trait KernelBackend: Backend {
    /// Returns a gauge of the device memory that this thread has allocated, readable from any thread. `None` if
    /// the device uses the host's memory.
    fn memory_gauge(_device: &Self::Device) -> Option<MemoryGauge> {
        None
    }

    /// Layer normalisation over the last axis of `[rows, channels]`. See [`crate::layer_norm`].
    fn layer_norm_rows(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        // Burn's own hook: a fused row kernel on Flex, a decomposition elsewhere.
        <Self as burn::tensor::ops::ModuleOps<Self>>::layer_norm(rows, gamma, Some(beta), epsilon)
    }

    /// Gradients of the rows, `gamma` and `beta` of [`layer_norm_rows`](Self::layer_norm_rows).
    fn layer_norm_backward(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        layer_norm::backward::<Self>(rows, gamma, grad, epsilon)
    }

    /// `gamma * x` of `[rows, channels]`. See [`crate::layer_scale`].
    fn layer_scale_rows(rows: FloatTensor<Self>, gamma: FloatTensor<Self>) -> FloatTensor<Self> {
        layer_scale::forward::<Self>(rows, gamma)
    }

    /// `a + b` of one shape. See [`crate::add`].
    fn add(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_add(a, b)
    }

    /// Moves the channels of a map to the axis `to`. See [`crate::channels_first`].
    fn move_channels(x: FloatTensor<Self>, to: ChannelAxis) -> FloatTensor<Self> {
        layout::forward::<Self>(x, to)
    }

    /// The sum of `fine` and the enlarged `coarse`. See [`crate::add_nearest`].
    fn add_nearest(fine: FloatTensor<Self>, coarse: FloatTensor<Self>) -> FloatTensor<Self> {
        add_nearest::forward::<Self>(fine, coarse)
    }

    /// The gradient of a coarse map of size `[height, width]`.
    fn add_nearest_backward(grad: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        add_nearest::backward::<Self>(grad, size)
    }

    /// `activation(x + bias)` of `[outer, channels, inner]`. See [`crate::bias_activation`].
    fn bias_activation(
        x: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        activation::forward::<Self>(x, bias, activation)
    }

    /// The gradient of `x + bias`; `kept` is `x` for GELU, the output for the rectifiers.
    fn bias_activation_backward(
        kept: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        grad: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        activation::backward::<Self>(kept, bias, grad, activation)
    }

    /// `activation(x W + b)` of `[rows, inputs]`. See [`crate::linear`].
    fn linear_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        linear::forward::<Self>(x, weight, bias, activation)
    }

    /// The gradient of the weight of [`linear_rows`](Self::linear_rows), `[inputs, outputs]`.
    fn linear_backward_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(Self::float_transpose(x), grad)
    }

    /// Two linear layers with GELU between them, for `[rows, channels]`. See [`crate::feed_forward`].
    fn feed_forward(
        x: FloatTensor<Self>,
        weights: [(FloatTensor<Self>, Option<FloatTensor<Self>>); 2],
    ) -> FloatTensor<Self> {
        linear::feed_forward_rows::<Self>(x, weights)
    }

    /// The sum of `[outer, channels, inner]` over all axes but the channels, `[channels]`: the gradient of a bias.
    fn channel_sum(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        activation::channel_sum::<Self>(grad)
    }

    /// Convolution, bias and activation. See [`crate::convolution`].
    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        convolution::forward::<Self>(x, weight, bias, options)
    }

    /// The gradient of an input of `size`, given the gradient of the convolution before its activation.
    fn convolution_backward_input(
        size: [usize; 4],
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        convolution::backward_input::<Self>(size, weight, grad, options)
    }

    /// The gradient of `weight`, given the gradient of the convolution before its activation.
    fn convolution_backward_weight(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        convolution::backward_weight::<Self>(x, weight, grad, options)
    }

    /// Depthwise convolution of `[batch, height, width, channels]`. See [`crate::depthwise_convolution`].
    fn depthwise_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        depthwise::forward::<Self>(x, weight, bias)
    }

    /// The gradient of the weight of [`depthwise_convolution`](Self::depthwise_convolution), `[channels, 1, kernel,
    /// kernel]`.
    fn depthwise_backward_weight(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        kernel: usize,
    ) -> FloatTensor<Self> {
        depthwise::backward_weight::<Self>(x, grad, kernel)
    }

    /// Dual low-rank bottleneck of `[batch, positions, channels]`. See [`crate::low_rank_adapter`].
    fn low_rank_bottleneck(
        input: FloatTensor<Self>,
        weights: LowRankPrimitives<Self>,
        axis: ChannelAxis,
    ) -> FloatTensor<Self> {
        low_rank::forward::<Self>(input, weights, axis)
    }

    /// Gradients of the input of [`low_rank_bottleneck`](Self::low_rank_bottleneck), if requested, and of its
    /// six weights.
    fn low_rank_backward(
        input: FloatTensor<Self>,
        weights: LowRankPrimitives<Self>,
        grad: FloatTensor<Self>,
        axis: ChannelAxis,
        is_input_wanted: bool,
    ) -> (Option<FloatTensor<Self>>, LowRankPrimitives<Self>) {
        low_rank::backward::<Self>(input, weights, grad, axis, is_input_wanted)
    }

    /// `x * scale + shift` of every channel of `[batch, channels, positions]`: a batch norm in
    /// evaluation.
    fn scale_and_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        batch_norm::scale_and_shift::<Self>(x, scale, shift)
    }

    /// Normalisation with batch statistics of `[batch, channels, positions]`: the output, the mean
    /// and the biased variance, each `[channels]`. See [`crate::batch_norm`].
    fn batch_norm_train(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        batch_norm::forward::<Self>(input, gamma, beta, epsilon)
    }

    /// Gradients of the input, `gamma` and `beta`, given mean and biased variance of the batch.
    fn batch_norm_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        batch_norm::backward::<Self>(input, gamma, statistics, grad, epsilon)
    }

    /// Weighted cross entropy of `[batch, classes, height, width]`, a scalar `[1]`, for labels and
    /// weights `[batch, positions]` of `size`; and the normaliser `log sum exp` of every position, as
    /// weights. See [`crate::cross_entropy`].
    fn cross_entropy_map(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        size: [usize; 2],
    ) -> [FloatTensor<Self>; 2] {
        cross_entropy::forward::<Self>(logits, labels, weights, size)
    }

    /// The gradient of the logits of [`cross_entropy_map`](Self::cross_entropy_map).
    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        normalisers: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        size: [usize; 2],
    ) -> FloatTensor<Self> {
        cross_entropy::backward::<Self>(logits, normalisers, labels, weights, grad, size)
    }

    /// Bilinear resize to `[height, width]`. See [`crate::resize_bilinear`].
    fn resize_bilinear(x: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        resize::forward::<Self>(x, size)
    }

    /// The gradient of an input of size `[height, width]`.
    fn resize_bilinear_backward(grad: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        resize::backward::<Self>(grad, size)
    }

    /// The focal loss of `[outer, classes, positions]`, `[1]`. See [`crate::focal_loss`].
    fn focal_loss(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        options: FocalLoss,
    ) -> FloatTensor<Self> {
        focal_loss::forward::<Self>(logits, labels, options)
    }

    /// The gradient of the logits of [`focal_loss`](Self::focal_loss).
    fn focal_loss_backward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        grad: FloatTensor<Self>,
        options: FocalLoss,
    ) -> FloatTensor<Self> {
        focal_loss::backward::<Self>(logits, labels, grad, options)
    }

    /// Pools the regions of a map into bins. See [`crate::roi_align`].
    fn roi_align(x: FloatTensor<Self>, rois: Arc<[Roi]>, options: RoiAlign) -> FloatTensor<Self> {
        roi_align::forward::<Self>(x, &rois, options)
    }

    /// The gradient of a map of `shape`, given the gradient of [`roi_align`](Self::roi_align).
    fn roi_align_backward(
        grad: FloatTensor<Self>,
        rois: Arc<[Roi]>,
        options: RoiAlign,
        shape: [usize; 4],
    ) -> FloatTensor<Self> {
        roi_align::backward::<Self>(grad, &rois, options, shape)
    }

    /// Softmax over the last axis of `[rows, columns]`. See [`crate::softmax`].
    fn softmax_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        softmax::forward::<Self>(x)
    }

    /// The gradient of the rows, given the output of [`softmax_rows`](Self::softmax_rows).
    fn softmax_backward(output: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        softmax::backward::<Self>(output, grad)
    }

    /// A step of AdamW. A backend may defer the step by adding it to `unsent`; the returned tensors are valid
    /// once it is sent. See [`crate::AdamW`].
    fn adamw(
        tensors: AdamWTensors<Self>,
        step: AdamWStep,
        _unsent: &mut Vec<(AdamWTensors<Self>, AdamWStep)>,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 2]) {
        adamw::forward::<Self>(tensors, step)
    }

    /// Runs, in place, the steps that [`adamw`](Self::adamw) has deferred.
    fn send_adamw(unsent: Vec<(AdamWTensors<Self>, AdamWStep)>) {
        debug_assert!(unsent.is_empty(), "`adamw` leaves nothing");
    }

    /// The sum of the squares of all elements of the tensors, `[1]`. See [`crate::sum_of_squares`].
    fn sum_of_squares(tensors: Vec<FloatTensor<Self>>) -> FloatTensor<Self> {
        adamw::squares::<Self>(tensors)
    }

    /// The largest values of every row and their indices. See [`crate::top_k`].
    fn top_k(x: FloatTensor<Self>, count: usize) -> (FloatTensor<Self>, IntTensor<Self>) {
        top_k::forward::<Self>(x, count)
    }

    /// The class of the largest logit of `[outer, classes, inner]`. See [`crate::most_likely`].
    fn most_likely(logits: FloatTensor<Self>) -> IntTensor<Self> {
        most_likely::forward::<Self>(logits)
    }

    /// The boxes that non-maximum suppression keeps. See [`crate::nms`].
    fn nms(bounds: FloatTensor<Self>, threshold: f32) -> FloatTensor<Self> {
        nms::forward::<Self>(bounds, threshold)
    }

    /// Attention among all tokens of `[batch, tokens, 3 * channels]`. See [`crate::self_attention()`].
    fn self_attention(qkv: FloatTensor<Self>, heads: Heads<Self>) -> FloatTensor<Self> {
        self_attention::forward::<Self>(qkv, heads)
    }

    /// The gradient of `qkv` of [`self_attention`](Self::self_attention).
    fn self_attention_backward(
        qkv: FloatTensor<Self>,
        heads: Heads<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        self_attention::backward::<Self>(qkv, heads, grad)
    }

    /// Attention inside windows, from map to map. See [`crate::window_attention`].
    fn window_attention(
        qkv: FloatTensor<Self>,
        table: FloatTensor<Self>,
        windows: Windows,
    ) -> FloatTensor<Self> {
        window_attention::forward::<Self>(qkv, table, windows)
    }

    /// Gradients of `qkv` and, if requested, of the table.
    fn window_attention_backward(
        qkv: FloatTensor<Self>,
        table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        windows: Windows,
        is_table_wanted: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        window_attention::backward::<Self>(qkv, table, grad, windows, is_table_wanted)
    }
}

/// An autodiff backend whose inner backend implements the operators too: the bound of training code.
pub trait TrainBackend: AutodiffBackend<InnerBackend: KernelBackend> + KernelBackend {}

impl<B: AutodiffBackend<InnerBackend: KernelBackend> + KernelBackend> TrainBackend for B {}

/// Moves a tensor of the frozen backbone's backend `F` to the backend `B`.
///
/// Training moves tensors across the autodiff boundary ([`Constant`]: no graph, so no gradient can flow back).
/// Evaluation has one backend on both sides ([`Same`]). Code generic over `Lift` serves both. Everything
/// outside the backbone is in single precision, whatever the precision of the backbone.
pub trait Lift<F: Backend, B: Backend> {
    /// Returns the same values on `B`, in single precision. Values that are in single precision already share
    /// their storage.
    fn lift<const D: usize>(tensor: Tensor<F, D>) -> Tensor<B, D>;
}

fn single<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    match tensor.dtype() {
        DType::F32 => tensor,
        _ => tensor.cast(DType::F32),
    }
}

/// Moves a tensor from the inner backend to a constant of the graph.
#[derive(Debug, Clone, Copy)]
pub struct Constant;

impl<B: AutodiffBackend> Lift<B::InnerBackend, B> for Constant {
    fn lift<const D: usize>(tensor: Tensor<B::InnerBackend, D>) -> Tensor<B, D> {
        Tensor::from_inner(single(tensor))
    }
}

/// Stays on the same backend.
#[derive(Debug, Clone, Copy)]
pub struct Same;

impl<B: Backend> Lift<B, B> for Same {
    fn lift<const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
        single(tensor)
    }
}
