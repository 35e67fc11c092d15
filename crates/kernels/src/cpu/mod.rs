//! The operators on Burn's CPU backend, Flex. Threads are rayon's. Loops are also compiled for the processor's
//! best vector instructions (pulp).
//!
//! Tensors of types other than `f32` use the reference implementation. Attention among all tokens is the exception: in half
//! precision its inputs are converted, because the reference holds the scores of far more queries at a time.

mod activation;
mod add_nearest;
mod convolution;
mod correlation;
mod cross_entropy;
mod dense;
mod depthwise;
mod depthwise_last;
mod enlarged_cross_entropy;
mod focal_loss;
mod gemm;
mod labels;
mod linear;
mod low_rank;
mod math;
mod matrix;
mod norm;
mod packed;
mod product;
mod resize;
mod roi_align;
mod self_attention;
mod sizes;
mod softmax;
mod storage;
mod vector;
mod window_attention;
mod winograd;

use std::sync::Arc;

use burn::tensor::ops::{FloatTensor, FloatTensorOps, IntTensor, ModuleOps};
use burn_flex::Flex;

use crate::activation::Activation;
use crate::add_nearest as plain_add_nearest;
use crate::convolution::ConvolutionOptions;
use crate::depthwise as plain_depthwise;
use crate::focal_loss::{self as plain_focal_loss, FocalLoss};
use crate::layer_scale as plain_layer_scale;
use crate::layout::{self as plain_layout, ChannelAxis};
use crate::low_rank::{self as plain_low_rank, LowRankPrimitives};
use crate::roi_align::{self as plain_roi_align, Roi, RoiAlign};
use crate::self_attention::{self as plain_self_attention, Heads};
use crate::window::Windows;
use crate::{KernelBackend, activation as plain_activation, batch_norm as plain_batch_norm};
use crate::{convolution as plain_convolution, cross_entropy as plain_cross_entropy};
use crate::{layer_norm as plain_layer_norm, linear as plain_linear, resize as plain_resize};
use crate::{softmax as plain_softmax, window_attention as plain_window_attention};
use storage::are_f32;

/// Declares an operator: a tracing span under its name, and the implementation here if all tensors are `f32`.
macro_rules! operator {
    ($name:literal, [$($tensor:expr),+], $here:expr, $plain:expr) => {{
        let _span = tracing::trace_span!($name).entered();
        if are_f32(&[$(&$tensor),+]) { $here } else { $plain }
    }};
}

impl KernelBackend for Flex {
    fn layer_scale_rows(rows: FloatTensor<Self>, gamma: FloatTensor<Self>) -> FloatTensor<Self> {
        operator!(
            "layer scale",
            [rows, gamma],
            norm::layer_scale(rows, &gamma),
            plain_layer_scale::forward::<Self>(rows, gamma)
        )
    }

    fn add(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        operator!(
            "add",
            [a, b],
            storage::add(a, b),
            <Self as FloatTensorOps<Self>>::float_add(a, b)
        )
    }

    fn move_channels(x: FloatTensor<Self>, to: ChannelAxis) -> FloatTensor<Self> {
        let turned = plain_layout::forward::<Self>(x, to);
        operator!(
            "move channels",
            [turned],
            storage::contiguous(turned),
            turned
        )
    }

    fn add_nearest(fine: FloatTensor<Self>, coarse: FloatTensor<Self>) -> FloatTensor<Self> {
        operator!(
            "add nearest",
            [fine, coarse],
            add_nearest::forward(fine, &coarse),
            plain_add_nearest::forward::<Self>(fine, coarse)
        )
    }

    fn add_nearest_backward(grad: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        operator!(
            "add nearest backward",
            [grad],
            add_nearest::backward(&grad, size),
            plain_add_nearest::backward::<Self>(grad, size)
        )
    }

    fn bias_activation(
        x: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        kind: Activation,
    ) -> FloatTensor<Self> {
        operator!(
            "bias activation",
            [x],
            activation::forward(x, bias, kind),
            plain_activation::forward::<Self>(x, bias, kind)
        )
    }

    fn bias_activation_backward(
        kept: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        grad: FloatTensor<Self>,
        kind: Activation,
    ) -> FloatTensor<Self> {
        operator!(
            "bias activation backward",
            [kept, grad],
            activation::backward(kept, bias, grad, kind),
            plain_activation::backward::<Self>(kept, bias, grad, kind)
        )
    }

    fn channel_sum(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        operator!(
            "channel sum",
            [grad],
            norm::channel_sum(&grad),
            plain_activation::channel_sum::<Self>(grad)
        )
    }

    fn linear_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        operator!(
            "linear",
            [x, weight],
            linear::forward(x, weight, bias, activation),
            plain_linear::forward::<Self>(x, weight, bias, activation)
        )
    }

    fn linear_backward_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        operator!(
            "linear backward weight",
            [x, grad],
            linear::backward_weight(&x, &grad),
            Self::float_matmul(Self::float_transpose(x), grad)
        )
    }

    fn feed_forward(
        x: FloatTensor<Self>,
        weights: [(FloatTensor<Self>, Option<FloatTensor<Self>>); 2],
    ) -> FloatTensor<Self> {
        let [(first, _), (second, _)] = &weights;
        operator!(
            "feed forward",
            [x, *first, *second],
            linear::feed_forward(x, weights),
            plain_linear::feed_forward_rows::<Self>(x, weights)
        )
    }

    fn low_rank_bottleneck(
        input: FloatTensor<Self>,
        weights: LowRankPrimitives<Self>,
        axis: ChannelAxis,
    ) -> FloatTensor<Self> {
        let [a, b, c, d, e, f] = &weights;
        operator!(
            "adapter",
            [input, *a, *b, *c, *d, *e, *f],
            low_rank::forward(input, weights, axis),
            plain_low_rank::forward::<Self>(input, weights, axis)
        )
    }

    fn low_rank_backward(
        input: FloatTensor<Self>,
        weights: LowRankPrimitives<Self>,
        grad: FloatTensor<Self>,
        axis: ChannelAxis,
        is_input_wanted: bool,
    ) -> (Option<FloatTensor<Self>>, LowRankPrimitives<Self>) {
        let [a, b, c, d, e, f] = &weights;
        operator!(
            "adapter backward",
            [input, grad, *a, *b, *c, *d, *e, *f],
            low_rank::backward(&input, &weights, &grad, axis, is_input_wanted),
            plain_low_rank::backward::<Self>(input, weights, grad, axis, is_input_wanted)
        )
    }

    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        operator!(
            "convolution",
            [x, weight],
            convolution::forward(x, weight, bias, options),
            plain_convolution::forward::<Self>(x, weight, bias, options)
        )
    }

    fn convolution_backward_input(
        size: [usize; 4],
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        operator!(
            "convolution backward input",
            [weight, grad],
            convolution::backward_input(size, weight, grad, options),
            plain_convolution::backward_input::<Self>(size, weight, grad, options)
        )
    }

    fn convolution_backward_weight(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        operator!(
            "convolution backward weight",
            [x, grad],
            convolution::backward_weight(x, weight, grad, options),
            plain_convolution::backward_weight::<Self>(x, weight, grad, options)
        )
    }

    fn depthwise_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        operator!(
            "depthwise convolution",
            [x, weight],
            depthwise_last::forward(x, weight, bias),
            plain_depthwise::forward::<Self>(x, weight, bias)
        )
    }

    fn depthwise_backward_weight(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        kernel: usize,
    ) -> FloatTensor<Self> {
        operator!(
            "depthwise convolution backward weight",
            [x, grad],
            depthwise_last::backward_weight(x, grad, kernel),
            plain_depthwise::backward_weight::<Self>(x, grad, kernel)
        )
    }

    fn layer_norm_rows(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        operator!(
            "layer norm",
            [rows, gamma, beta],
            norm::layer_norm(rows, &gamma, &beta, epsilon),
            <Self as ModuleOps<Self>>::layer_norm(rows, gamma, Some(beta), epsilon)
        )
    }

    fn layer_norm_backward(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        operator!(
            "layer norm backward",
            [rows, gamma, grad],
            norm::layer_norm_backward(rows, &gamma, grad, epsilon),
            plain_layer_norm::backward::<Self>(rows, gamma, grad, epsilon)
        )
    }

    fn scale_and_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        operator!(
            "scale and shift",
            [x, scale, shift],
            norm::scale_and_shift(x, &scale, &shift),
            plain_batch_norm::scale_and_shift::<Self>(x, scale, shift)
        )
    }

    fn batch_norm_train(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        operator!(
            "batch norm train",
            [input, gamma, beta],
            norm::batch_norm(input, &gamma, &beta, epsilon),
            plain_batch_norm::forward::<Self>(input, gamma, beta, epsilon)
        )
    }

    fn batch_norm_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        operator!(
            "batch norm backward",
            [input, gamma, grad],
            norm::batch_norm_backward(input, &gamma, statistics, grad, epsilon),
            plain_batch_norm::backward::<Self>(input, gamma, statistics, grad, epsilon)
        )
    }

    fn cross_entropy_map(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        size: [usize; 2],
    ) -> [FloatTensor<Self>; 2] {
        operator!(
            "cross entropy",
            [logits, weights],
            cross_entropy::forward(&logits, &labels, &weights, size),
            plain_cross_entropy::forward::<Self>(logits, labels, weights, size)
        )
    }

    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        normalisers: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        size: [usize; 2],
    ) -> FloatTensor<Self> {
        operator!(
            "cross entropy backward",
            [logits, normalisers, weights, grad],
            cross_entropy::backward(logits, &normalisers, &labels, &weights, &grad, size),
            plain_cross_entropy::backward::<Self>(logits, normalisers, labels, weights, grad, size)
        )
    }

    fn resize_bilinear(x: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        operator!(
            "resize bilinear",
            [x],
            resize::forward(x, size),
            plain_resize::forward::<Self>(x, size)
        )
    }

    fn resize_bilinear_backward(grad: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        operator!(
            "resize bilinear backward",
            [grad],
            resize::backward(grad, size),
            plain_resize::backward::<Self>(grad, size)
        )
    }

    fn focal_loss(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        options: FocalLoss,
    ) -> FloatTensor<Self> {
        operator!(
            "focal loss",
            [logits],
            focal_loss::forward(&logits, &labels, options),
            plain_focal_loss::forward::<Self>(logits, labels, options)
        )
    }

    fn focal_loss_backward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        grad: FloatTensor<Self>,
        options: FocalLoss,
    ) -> FloatTensor<Self> {
        operator!(
            "focal loss backward",
            [logits, grad],
            focal_loss::backward(logits, &labels, &grad, options),
            plain_focal_loss::backward::<Self>(logits, labels, grad, options)
        )
    }

    fn roi_align(x: FloatTensor<Self>, rois: Arc<[Roi]>, options: RoiAlign) -> FloatTensor<Self> {
        operator!(
            "RoIAlign",
            [x],
            roi_align::forward(x, &rois, options),
            plain_roi_align::forward::<Self>(x, &rois, options)
        )
    }

    fn roi_align_backward(
        grad: FloatTensor<Self>,
        rois: Arc<[Roi]>,
        options: RoiAlign,
        shape: [usize; 4],
    ) -> FloatTensor<Self> {
        operator!(
            "RoIAlign backward",
            [grad],
            roi_align::backward(grad, &rois, options, shape),
            plain_roi_align::backward::<Self>(grad, &rois, options, shape)
        )
    }

    fn softmax_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        operator!(
            "softmax",
            [x],
            softmax::forward(x),
            plain_softmax::forward::<Self>(x)
        )
    }

    fn softmax_backward(output: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        operator!(
            "softmax backward",
            [output, grad],
            softmax::backward(output, grad),
            plain_softmax::backward::<Self>(output, grad)
        )
    }

    fn self_attention(qkv: FloatTensor<Self>, heads: Heads<Self>) -> FloatTensor<Self> {
        let dtype = qkv.dtype();
        let (qkv, heads) = (storage::widened(qkv), self_attention::widened(heads));
        let output = operator!(
            "self-attention",
            [qkv],
            self_attention::forward(&qkv, heads.count, heads.rotations.as_ref()),
            plain_self_attention::forward::<Self>(qkv, heads)
        );
        storage::rounded(output, dtype)
    }

    fn self_attention_backward(
        qkv: FloatTensor<Self>,
        heads: Heads<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let dtype = qkv.dtype();
        let [qkv, grad] = [qkv, grad].map(storage::widened);
        let heads = self_attention::widened(heads);
        let output = operator!(
            "self-attention backward",
            [qkv, grad],
            self_attention::backward(&qkv, heads.count, heads.rotations.as_ref(), &grad),
            plain_self_attention::backward::<Self>(qkv, heads, grad)
        );
        storage::rounded(output, dtype)
    }

    fn window_attention(
        qkv: FloatTensor<Self>,
        table: FloatTensor<Self>,
        windows: Windows,
    ) -> FloatTensor<Self> {
        operator!(
            "window attention",
            [qkv, table],
            window_attention::forward(qkv, &table, windows),
            plain_window_attention::forward::<Self>(qkv, table, windows)
        )
    }

    fn window_attention_backward(
        qkv: FloatTensor<Self>,
        table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        windows: Windows,
        is_table_wanted: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        operator!(
            "window attention backward",
            [qkv, table, grad],
            window_attention::backward(qkv, &table, &grad, windows, is_table_wanted),
            plain_window_attention::backward::<Self>(qkv, table, grad, windows, is_table_wanted,)
        )
    }
}
