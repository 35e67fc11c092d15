//! Graphics cards: CUDA, Vulkan, Metal, WebGPU and ROCm, through CubeCL.
//!
//! Tensors that are not single precision, or that do not fit the shared memory, use plain Burn. The kernels of
//! a frozen backbone also take half precision of either kind, and compute in single precision.

mod activation;
mod adamw;
mod channels;
mod convolution;
mod cross_entropy;
mod focal_loss;
mod launch;
mod layer_norm;
mod linear;
mod most_likely;
mod nan;
mod nms;
mod resize;
mod roi_align;
mod rows;
mod top_k;
mod window_attention;

use std::sync::Arc;

use burn::tensor::DType;
use burn::tensor::backend::DeviceOps;
use burn::tensor::ops::{FloatTensor, IntTensor, ModuleOps};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement};
use cubecl::server::ComputeServer;
use cubecl::stream_id::StreamId;

use crate::activation::Activation;
use crate::adamw::{AdamWStep, AdamWTensors};
use crate::backend::{KernelBackend, MemoryGauge};
use crate::convolution::ConvolutionOptions;
use crate::focal_loss::FocalLoss;
use crate::primitive::{float, tensor};
use crate::roi_align::{Roi, RoiAlign};
use crate::window::Windows;
use launch::{is_float, is_single};

impl<R, F, I, T> KernelBackend for CubeBackend<R, F, I, T>
where
    R: CubeRuntime,
    R::Server: ComputeServer,
    R::Device: DeviceOps,
    F: FloatElement,
    I: IntElement,
    T: BoolElement,
{
    fn memory_gauge(device: &Self::Device) -> Option<MemoryGauge> {
        let client = R::client(device);
        // Memory belongs to the stream of a thread: this is the stream of the current thread.
        let stream = StreamId::current();
        Some(Box::new(move || {
            let usage = stream.executes(|| client.memory_usage());
            usage.map_or(0, |usage| usage.bytes_in_use as usize)
        }))
    }

    fn layer_norm_rows(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        if is_float(&rows) {
            layer_norm::forward(rows, gamma, beta, epsilon)
        } else {
            <Self as ModuleOps<Self>>::layer_norm(rows, gamma, Some(beta), epsilon)
        }
    }

    fn layer_norm_backward(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        if !is_single(&rows) {
            return crate::layer_norm::backward::<Self>(rows, gamma, grad, epsilon);
        }
        let channels = rows.meta.shape()[1];
        let (grad, sums) = layer_norm::backward(rows, gamma, grad, epsilon);
        let sums = tensor::<Self, 3>(sums).sum_dim(1);
        let sum = |index: usize| {
            let row = sums.clone().narrow(0, index, 1);
            float(row.reshape([channels]))
        };
        [grad, sum(0), sum(1)]
    }

    fn bias_activation(
        x: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        if activation == Activation::Identity && bias.is_none() {
            x
        } else if is_float(&x) {
            activation::forward(x, bias, activation)
        } else {
            crate::activation::forward::<Self>(x, bias, activation)
        }
    }

    fn bias_activation_backward(
        kept: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        grad: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        if activation == Activation::Identity {
            grad
        } else if is_single(&grad) {
            activation::backward(kept, bias, grad, activation)
        } else {
            crate::activation::backward::<Self>(kept, bias, grad, activation)
        }
    }

    fn linear_backward_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::backward_weight::<Self>(x, grad)
    }

    fn channel_sum(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if !is_single(&grad) {
            return crate::activation::channel_sum::<Self>(grad);
        }
        let channels = grad.meta.shape()[1];
        let sums = tensor::<Self, 2>(channels::sums(grad)).sum_dim(0);
        float(sums.reshape([channels]))
    }

    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        convolution::forward::<Self, R>(x, weight, bias, options)
    }

    fn convolution_backward_input(
        size: [usize; 4],
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        convolution::backward_input::<Self, R>(size, weight, grad, options)
    }

    fn convolution_backward_weight(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        convolution::backward_weight::<Self, R>(x, weight, grad, options)
    }

    fn batch_norm_train(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        if is_single(&input) {
            channels::normalise(input, gamma, beta, epsilon)
        } else {
            crate::batch_norm::forward::<Self>(input, gamma, beta, epsilon)
        }
    }

    fn batch_norm_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        if is_single(&input) {
            channels::normalise_backward(input, gamma, statistics, grad, epsilon)
        } else {
            crate::batch_norm::backward::<Self>(input, gamma, statistics, grad, epsilon)
        }
    }

    fn resize_bilinear(x: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        if is_single(&x) {
            resize::forward(x, size)
        } else {
            crate::resize::forward::<Self>(x, size)
        }
    }

    fn resize_bilinear_backward(grad: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        if is_single(&grad) {
            resize::backward(grad, size)
        } else {
            crate::resize::backward::<Self>(grad, size)
        }
    }

    fn roi_align(x: FloatTensor<Self>, rois: Arc<[Roi]>, options: RoiAlign) -> FloatTensor<Self> {
        if is_single(&x) {
            let rois = roi_align::numbers::<Self>(&rois, &x.device);
            roi_align::forward(x, rois, options)
        } else {
            crate::roi_align::forward::<Self>(x, &rois, options)
        }
    }

    fn roi_align_backward(
        grad: FloatTensor<Self>,
        rois: Arc<[Roi]>,
        options: RoiAlign,
        shape: [usize; 4],
    ) -> FloatTensor<Self> {
        if is_single(&grad) {
            let rois = roi_align::numbers::<Self>(&rois, &grad.device);
            roi_align::backward(grad, rois, options, shape)
        } else {
            crate::roi_align::backward::<Self>(grad, &rois, options, shape)
        }
    }

    fn adamw(
        tensors: AdamWTensors<Self>,
        step: AdamWStep,
        unsent: &mut Vec<(AdamWTensors<Self>, AdamWStep)>,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 2]) {
        if is_single(&tensors.parameter) && is_single(&tensors.gradient) {
            let tensors = adamw::in_place(tensors);
            unsent.push((tensors.clone(), step));
            (tensors.parameter, tensors.moments)
        } else {
            crate::adamw::forward::<Self>(tensors, step)
        }
    }

    fn send_adamw(unsent: Vec<(AdamWTensors<Self>, AdamWStep)>) {
        adamw::send(unsent);
    }

    fn sum_of_squares(tensors: Vec<FloatTensor<Self>>) -> FloatTensor<Self> {
        if tensors.iter().all(is_single) {
            float(tensor::<Self, 1>(adamw::squares(tensors)).sum())
        } else {
            crate::adamw::squares::<Self>(tensors)
        }
    }

    fn top_k(x: FloatTensor<Self>, count: usize) -> (FloatTensor<Self>, IntTensor<Self>) {
        let is_wanted = is_single(&x) && I::dtype() == DType::I32;
        let found = is_wanted.then(|| top_k::forward(&x, count)).flatten();
        found.unwrap_or_else(|| crate::top_k::forward::<Self>(x, count))
    }

    fn most_likely(logits: FloatTensor<Self>) -> IntTensor<Self> {
        if is_single(&logits) && I::dtype() == DType::I32 {
            most_likely::forward(logits)
        } else {
            crate::most_likely::forward::<Self>(logits)
        }
    }

    fn nms(bounds: FloatTensor<Self>, threshold: f32) -> FloatTensor<Self> {
        let is_wanted = is_single(&bounds);
        let kept = is_wanted
            .then(|| nms::forward(&bounds, threshold))
            .flatten();
        kept.unwrap_or_else(|| crate::nms::forward::<Self>(bounds, threshold))
    }

    fn cross_entropy_map(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        size: [usize; 2],
    ) -> [FloatTensor<Self>; 2] {
        if !are_labelled(&logits, &labels) {
            return crate::cross_entropy::forward::<Self>(logits, labels, weights, size);
        }
        let [losses, normalisers] = cross_entropy::forward(logits, labels, weights, size);
        [float(tensor::<Self, 2>(losses).sum()), normalisers]
    }

    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        normalisers: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        size: [usize; 2],
    ) -> FloatTensor<Self> {
        let backward = if are_labelled(&logits, &labels) {
            cross_entropy::backward
        } else {
            crate::cross_entropy::backward::<Self>
        };
        backward(logits, normalisers, labels, weights, grad, size)
    }

    fn focal_loss(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        options: FocalLoss,
    ) -> FloatTensor<Self> {
        if are_labelled(&logits, &labels) {
            float(tensor::<Self, 1>(focal_loss::forward(logits, labels, options)).sum())
        } else {
            crate::focal_loss::forward::<Self>(logits, labels, options)
        }
    }

    fn focal_loss_backward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        grad: FloatTensor<Self>,
        options: FocalLoss,
    ) -> FloatTensor<Self> {
        let backward = if are_labelled(&logits, &labels) {
            focal_loss::backward
        } else {
            crate::focal_loss::backward::<Self>
        };
        backward(logits, labels, grad, options)
    }

    fn window_attention(
        qkv: FloatTensor<Self>,
        table: FloatTensor<Self>,
        windows: Windows,
    ) -> FloatTensor<Self> {
        match window_attention::layout(&qkv, &table, windows).filter(|_| is_float(&qkv)) {
            Some(plan) => plan.forward(qkv, table),
            None => crate::window_attention::forward::<Self>(qkv, table, windows),
        }
    }

    fn window_attention_backward(
        qkv: FloatTensor<Self>,
        table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        windows: Windows,
        is_table_wanted: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let plan = window_attention::layout(&qkv, &table, windows).filter(|_| is_single(&qkv));
        let Some(plan) = plan else {
            return crate::window_attention::backward::<Self>(
                qkv,
                table,
                grad,
                windows,
                is_table_wanted,
            );
        };
        let (grad, of_windows) = plan.backward(qkv, table, grad, is_table_wanted);
        let grad_table = is_table_wanted.then(|| {
            let sums = tensor::<Self, 3>(of_windows).sum_dim(0);
            let [_, heads, offsets] = sums.dims();
            float(sums.reshape([heads, offsets]).transpose())
        });
        (grad, grad_table)
    }
}

/// Whether the kernels of a loss support these logits and labels.
fn are_labelled<R: CubeRuntime>(logits: &CubeTensor<R>, labels: &CubeTensor<R>) -> bool {
    is_single(logits) && labels.dtype == DType::I32
}
