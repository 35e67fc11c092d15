//! The operators on Burn's CPU backend, Flex: threads by rayon, vectors by loops that are compiled
//! once more for the processor's best instructions (pulp).
//!
//! Tensors of other types than `f32` take the plain statement.

mod activation;
mod attention;
mod convolution;
mod cross_entropy;
mod dense;
mod depthwise;
mod linear;
mod low_rank;
mod math;
mod matrix;
mod norm;
mod product;
mod resize;
mod softmax;
mod storage;
mod vector;

use burn::tensor::ops::{FloatTensor, FloatTensorOps, IntTensor, ModuleOps};
use burn_flex::Flex;

use crate::activation::Activation;
use crate::convolution::ConvolutionOptions;
use crate::low_rank::{self as plain_low_rank, ChannelAxis, LowRankPrimitives};
use crate::window::Windows;
use crate::{KernelBackend, activation as plain_activation, batch_norm as plain_batch_norm};
use crate::{convolution as plain_convolution, cross_entropy as plain_cross_entropy};
use crate::{layer_norm as plain_layer_norm, linear as plain_linear, resize as plain_resize};
use crate::{softmax as plain_softmax, window_attention as plain_window_attention};
use linear::Layer;
use storage::are_f32;

impl KernelBackend for Flex {
    fn add(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        if !are_f32(&[&a, &b]) {
            return <Self as FloatTensorOps<Self>>::float_add(a, b);
        }
        storage::zip(
            a,
            b,
            #[inline(always)]
            |a, b| a + b,
        )
    }

    fn bias_activation(
        x: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        kind: Activation,
    ) -> FloatTensor<Self> {
        if !are_f32(&[&x]) {
            return plain_activation::forward::<Self>(x, bias, kind);
        }
        activation::forward(x, bias, kind)
    }

    fn bias_activation_backward(
        kept: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        grad: FloatTensor<Self>,
        kind: Activation,
    ) -> FloatTensor<Self> {
        if !are_f32(&[&kept, &grad]) {
            return plain_activation::backward::<Self>(kept, bias, grad, kind);
        }
        activation::backward(kept, bias, grad, kind)
    }

    fn linear_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        if !are_f32(&[&x, &weight]) {
            return plain_linear::forward::<Self>(x, weight, bias, activation);
        }
        linear::chain(x, &[Layer::new(weight, bias, activation)])
    }

    fn feed_forward(
        x: FloatTensor<Self>,
        weights: [(FloatTensor<Self>, Option<FloatTensor<Self>>); 2],
    ) -> FloatTensor<Self> {
        let [(first, first_bias), (second, second_bias)] = weights;
        if !are_f32(&[&x, &first, &second]) {
            let hidden = Self::linear_rows(x, first, first_bias, Activation::Gelu);
            return Self::linear_rows(hidden, second, second_bias, Activation::Identity);
        }
        let layers = [
            Layer::new(first, first_bias, Activation::Gelu),
            Layer::new(second, second_bias, Activation::Identity),
        ];
        linear::chain(x, &layers)
    }

    fn low_rank_bottleneck(
        input: FloatTensor<Self>,
        weights: LowRankPrimitives<Self>,
        axis: ChannelAxis,
    ) -> FloatTensor<Self> {
        let is_plain = weights.iter().any(|weight| !are_f32(&[weight]));
        if is_plain || axis == ChannelAxis::First || !are_f32(&[&input]) {
            return plain_low_rank::forward::<Self>(input, weights, axis);
        }
        let [down_in, down_out, down_bias, up_in, up_out, up_bias] = weights;
        let layers = [
            Layer::new(down_in, None, Activation::Identity),
            Layer::new(down_out, Some(down_bias), Activation::Gelu),
            Layer::new(up_in, None, Activation::Identity),
            Layer::new(up_out, Some(up_bias), Activation::Identity),
        ];
        let shape = input.layout().shape().clone();
        let [batch, positions, channels] = shape.dims();
        let rows = input.reshape([batch * positions, channels].into());
        linear::chain(rows, &layers).reshape(shape)
    }

    fn low_rank_backward(
        input: FloatTensor<Self>,
        weights: LowRankPrimitives<Self>,
        grad: FloatTensor<Self>,
        axis: ChannelAxis,
        is_input_wanted: bool,
    ) -> (Option<FloatTensor<Self>>, LowRankPrimitives<Self>) {
        let is_plain = weights.iter().any(|weight| !are_f32(&[weight]));
        if is_plain || !are_f32(&[&input, &grad]) {
            return plain_low_rank::backward::<Self>(input, weights, grad, axis, is_input_wanted);
        }
        low_rank::backward(&input, &weights, &grad, axis, is_input_wanted)
    }

    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        if !are_f32(&[&x, &weight]) {
            return plain_convolution::forward::<Self>(x, weight, bias, options);
        }
        convolution::forward(x, weight, bias, options)
    }

    fn convolution_backward_input(
        size: [usize; 4],
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        if !are_f32(&[&weight, &grad]) {
            return plain_convolution::backward_input::<Self>(size, weight, grad, options);
        }
        convolution::backward_input(size, weight, grad, options)
    }

    fn convolution_backward_weight(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvolutionOptions,
    ) -> FloatTensor<Self> {
        if !are_f32(&[&x, &grad]) {
            return plain_convolution::backward_weight::<Self>(x, weight, grad, options);
        }
        convolution::backward_weight(x, weight, grad, options)
    }

    fn layer_norm_rows(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        if !are_f32(&[&rows, &gamma, &beta]) {
            return <Self as ModuleOps<Self>>::layer_norm(rows, gamma, Some(beta), epsilon);
        }
        norm::layer_norm(rows, &gamma, &beta, epsilon)
    }

    fn layer_norm_backward(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        if !are_f32(&[&rows, &gamma, &grad]) {
            return plain_layer_norm::backward::<Self>(rows, gamma, grad, epsilon);
        }
        norm::layer_norm_backward(rows, &gamma, grad, epsilon)
    }

    fn scale_and_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !are_f32(&[&x, &scale, &shift]) {
            return plain_batch_norm::scale_and_shift::<Self>(x, scale, shift);
        }
        norm::scale_and_shift(x, &scale, &shift)
    }

    fn batch_norm_train(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        if !are_f32(&[&input, &gamma, &beta]) {
            return plain_batch_norm::forward::<Self>(input, gamma, beta, epsilon);
        }
        norm::batch_norm(input, &gamma, &beta, epsilon)
    }

    fn batch_norm_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        if !are_f32(&[&input, &gamma, &grad]) {
            return plain_batch_norm::backward::<Self>(input, gamma, statistics, grad, epsilon);
        }
        norm::batch_norm_backward(input, &gamma, statistics, grad, epsilon)
    }

    fn cross_entropy_map(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        if !are_f32(&[&logits, &weights]) {
            return plain_cross_entropy::forward::<Self>(logits, labels, weights);
        }
        cross_entropy::forward(&logits, &labels, &weights)
    }

    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        normalisers: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !are_f32(&[&logits, &normalisers, &weights, &grad]) {
            return plain_cross_entropy::backward::<Self>(
                logits,
                normalisers,
                labels,
                weights,
                grad,
            );
        }
        cross_entropy::backward(logits, &normalisers, &labels, &weights, &grad)
    }

    fn resize_bilinear(x: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        if !are_f32(&[&x]) {
            return plain_resize::forward::<Self>(x, size);
        }
        resize::forward(x, size)
    }

    fn resize_bilinear_backward(grad: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        if !are_f32(&[&grad]) {
            return plain_resize::backward::<Self>(grad, size);
        }
        resize::backward(grad, size)
    }

    fn softmax_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if !are_f32(&[&x]) {
            return plain_softmax::forward::<Self>(x);
        }
        softmax::forward(x)
    }

    fn softmax_backward(output: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if !are_f32(&[&output, &grad]) {
            return plain_softmax::backward::<Self>(output, grad);
        }
        softmax::backward(output, grad)
    }

    fn window_attention(
        qkv: FloatTensor<Self>,
        table: FloatTensor<Self>,
        windows: Windows,
    ) -> FloatTensor<Self> {
        if !are_f32(&[&qkv, &table]) {
            return plain_window_attention::forward::<Self>(qkv, table, windows);
        }
        attention::forward(qkv, &table, windows)
    }

    fn window_attention_backward(
        qkv: FloatTensor<Self>,
        table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        windows: Windows,
        is_table_wanted: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        if !are_f32(&[&qkv, &table, &grad]) {
            return plain_window_attention::backward::<Self>(
                qkv,
                table,
                grad,
                windows,
                is_table_wanted,
            );
        }
        attention::backward(qkv, &table, &grad, windows, is_table_wanted)
    }
}
