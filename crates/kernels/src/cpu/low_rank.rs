//! The dual low-rank adapter, some positions at a time: its half-width maps are never stored as a whole.

use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::gemm;
use super::linear::{Layer, chain};
use super::math::normal;
use super::matrix::Matrix;
use super::storage::tensor;
use super::vector::{total, vectorised};
use crate::activation::{Activation, INVERSE_SQRT_TWO_PI};
use crate::layout::ChannelAxis;
use crate::low_rank as plain;

/// Number of positions that a task takes at once.
const POSITIONS: usize = 128;
/// Number of partial sums of the weights' gradients: it is fixed, so sums do not depend on the number of threads.
const PARTS: usize = 16;

/// See [`crate::low_rank_adapter`].
pub(super) fn forward(
    input: FlexTensor,
    weights: [FlexTensor; 6],
    axis: ChannelAxis,
) -> FlexTensor {
    if axis == ChannelAxis::First {
        return plain::forward::<Flex>(input, weights, axis);
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
    chain(rows, &layers).reshape(shape)
}

/// A map whose rows are positions, whichever axis its channels are on.
struct Map<'a> {
    values: &'a [f32],
    axis: ChannelAxis,
    channels: usize,
    positions: usize,
}

impl<'a> Map<'a> {
    /// A view of `[batch, positions, channels]` or `[batch, channels, positions]`.
    fn of(x: &'a FlexTensor, axis: ChannelAxis) -> Self {
        let shape = x.layout().shape();
        let (positions, channels) = match axis {
            ChannelAxis::Last => (shape[1], shape[2]),
            ChannelAxis::First => (shape[2], shape[1]),
        };
        Self {
            values: x.storage(),
            axis,
            channels,
            positions,
        }
    }

    /// The positions of an image from `first` on.
    fn rows(&self, image: usize, first: usize) -> Matrix<'a> {
        let values = &self.values[image * self.positions * self.channels..];
        match self.axis {
            ChannelAxis::Last => Matrix::rows(&values[first * self.channels..], self.channels),
            ChannelAxis::First => Matrix {
                values: &values[first..],
                strides: [1, self.positions],
            },
        }
    }
}

/// Widths of an adapter.
#[derive(Clone, Copy)]
struct Sizes {
    channels: usize,
    rank: usize,
    middle: usize,
}

impl Sizes {
    /// Number of elements of the six weights: the two factors and the bias of the down projection, then those
    /// of the up projection.
    fn weights(&self) -> [usize; 6] {
        let Self {
            channels,
            rank,
            middle,
        } = *self;
        [
            channels * rank,
            rank * middle,
            middle,
            middle * rank,
            rank * channels,
            channels,
        ]
    }
}

/// The gradients of the input, if requested, and of the six weights.
pub(super) fn backward(
    input: &FlexTensor,
    weights: &[FlexTensor; 6],
    grad: &FlexTensor,
    axis: ChannelAxis,
    is_input_wanted: bool,
) -> (Option<FlexTensor>, [FlexTensor; 6]) {
    let shape = input.layout().shape().clone();
    let (z, grad) = (input.to_contiguous(), grad.to_contiguous());
    let contiguous = weights.each_ref().map(|weight| weight.to_contiguous());
    let values = contiguous.each_ref().map(|weight| weight.storage::<f32>());
    let (z, grad) = (Map::of(&z, axis), Map::of(&grad, axis));
    let sizes = Sizes {
        channels: z.channels,
        rank: weights[1].layout().shape()[0],
        middle: weights[2].layout().shape()[0],
    };
    let batch = z.values.len() / (z.channels * z.positions);
    let per_image = z.positions.div_ceil(POSITIONS);
    let chunks = batch * per_image;
    let share = chunks.div_ceil(PARTS);
    let parts: Vec<([Vec<f32>; 6], Vec<f32>)> = (0..chunks.div_ceil(share))
        .into_par_iter()
        .map(|part| {
            let mut sums = sizes.weights().map(|length| vec![0.0; length]);
            let mut scratch = Scratch::default();
            let mut input = Vec::new();
            for chunk in part * share..((part + 1) * share).min(chunks) {
                let (image, first) = (chunk / per_image, chunk % per_image * POSITIONS);
                let count = POSITIONS.min(z.positions - first);
                let rows = [z.rows(image, first), grad.rows(image, first)];
                let narrow = scratch.add(rows, &values, sizes, count, &mut sums);
                if is_input_wanted {
                    let down_in = Matrix::rows(values[0], sizes.rank).transposed();
                    let widths = [count, sizes.rank, sizes.channels];
                    let begin = input.len();
                    input.resize(begin + count * sizes.channels, 0.0);
                    gemm::Scratch::default().multiply(narrow, down_in, &mut input[begin..], widths);
                }
            }
            (sums, input)
        })
        .collect();
    let gradients = std::array::from_fn(|which| {
        let sums = parts.iter().map(|(part, _)| &part[which]);
        let values = total(sizes.weights()[which], sums);
        tensor(values, weights[which].layout().shape().clone())
    });
    let input = is_input_wanted.then(|| {
        let rows = parts.into_iter().flat_map(|(_, input)| input);
        let values = match axis {
            ChannelAxis::Last => rows.collect(),
            ChannelAxis::First => by_channel(rows, z.channels, z.positions, z.values.len()),
        };
        tensor(values, shape)
    });
    (input, gradients)
}

/// Rows of `[batch, positions, channels]` as `[batch, channels, positions]`.
fn by_channel(
    rows: impl Iterator<Item = f32>,
    channels: usize,
    positions: usize,
    length: usize,
) -> Vec<f32> {
    let mut values = vec![0.0; length];
    for (index, value) in rows.enumerate() {
        let (row, channel) = (index / channels, index % channels);
        let (image, position) = (row / positions, row % positions);
        values[(image * channels + channel) * positions + position] = value;
    }
    values
}

/// Maps of some positions.
#[derive(Default)]
struct Scratch {
    gemm: gemm::Scratch,
    down_narrow: Vec<f32>,
    hidden: Vec<f32>,
    active: Vec<f32>,
    up_narrow: Vec<f32>,
    grad_narrow: Vec<f32>,
    grad_hidden: Vec<f32>,
}

/// Computes `a b` in a buffer, which grows as needed.
fn product<'a>(
    gemm: &mut gemm::Scratch,
    buffer: &'a mut Vec<f32>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    sizes: [usize; 3],
) -> &'a mut [f32] {
    buffer.resize(sizes[0] * sizes[2], 0.0);
    gemm.multiply(a, b, buffer, sizes);
    buffer
}

impl Scratch {
    /// Adds the weight gradients of `count` positions; returns the gradient of the first factor's output,
    /// `[count, rank]`.
    fn add<'a>(
        &'a mut self,
        [z, grad]: [Matrix<'_>; 2],
        weights: &[&[f32]; 6],
        sizes: Sizes,
        count: usize,
        sums: &mut [Vec<f32>; 6],
    ) -> Matrix<'a> {
        let gemm = &mut self.gemm;
        let Sizes {
            channels,
            rank,
            middle,
        } = sizes;
        let [down_in, down_out, down_bias, up_in, up_out, _] = *weights;
        let [
            grad_down_in,
            grad_down_out,
            grad_down_bias,
            grad_up_in,
            grad_up_out,
            grad_up_bias,
        ] = sums;

        // What the forward pass let go; `hidden` becomes the derivative of the GELU.
        let wide = |values| Matrix::rows(values, rank);
        let down_narrow = product(
            gemm,
            &mut self.down_narrow,
            z,
            wide(down_in),
            [count, channels, rank],
        );
        let narrow = Matrix::rows(down_narrow, rank);
        let down_out = Matrix::rows(down_out, middle);
        let hidden = product(
            gemm,
            &mut self.hidden,
            narrow,
            down_out,
            [count, rank, middle],
        );
        self.active.resize(count * middle, 0.0);
        let active = &mut self.active[..count * middle];
        vectorised(
            #[inline(always)]
            || activate(hidden, active, down_bias),
        );
        let active = Matrix::rows(active, middle);
        let up_narrow = product(
            gemm,
            &mut self.up_narrow,
            active,
            wide(up_in),
            [count, middle, rank],
        );
        let up_narrow = Matrix::rows(up_narrow, rank);

        let ones = [1.0; POSITIONS];
        let ones = Matrix::rows(&ones, POSITIONS);
        gemm.multiply_add(ones, grad, grad_up_bias, [1, count, channels]);
        gemm.multiply_add(
            up_narrow.transposed(),
            grad,
            grad_up_out,
            [rank, count, channels],
        );
        let up_out = Matrix::rows(up_out, channels).transposed();
        let narrow_grad = product(
            gemm,
            &mut self.grad_narrow,
            grad,
            up_out,
            [count, channels, rank],
        );
        let narrow_grad = Matrix::rows(narrow_grad, rank);
        gemm.multiply_add(
            active.transposed(),
            narrow_grad,
            grad_up_in,
            [middle, count, rank],
        );
        let up_in = wide(up_in).transposed();
        let hidden_grad = product(
            gemm,
            &mut self.grad_hidden,
            narrow_grad,
            up_in,
            [count, rank, middle],
        );
        vectorised(
            #[inline(always)]
            || {
                for (grad, &derivative) in hidden_grad.iter_mut().zip(&*hidden) {
                    *grad *= derivative;
                }
            },
        );
        let hidden_grad = Matrix::rows(hidden_grad, middle);
        gemm.multiply_add(ones, hidden_grad, grad_down_bias, [1, count, middle]);
        gemm.multiply_add(
            narrow.transposed(),
            hidden_grad,
            grad_down_out,
            [rank, count, middle],
        );
        let down_out = down_out.transposed();
        let narrow_grad = product(
            gemm,
            &mut self.grad_narrow,
            hidden_grad,
            down_out,
            [count, middle, rank],
        );
        let narrow_grad = Matrix::rows(narrow_grad, rank);
        gemm.multiply_add(
            z.transposed(),
            narrow_grad,
            grad_down_in,
            [channels, count, rank],
        );
        narrow_grad
    }
}

/// Sets `active = gelu(hidden + bias)` and replaces `hidden` by the derivative.
#[inline(always)]
fn activate(hidden: &mut [f32], active: &mut [f32], bias: &[f32]) {
    let rows = hidden.chunks_exact_mut(bias.len());
    for (hidden, active) in rows.zip(active.chunks_exact_mut(bias.len())) {
        for ((hidden, active), &bias) in hidden.iter_mut().zip(active).zip(bias) {
            let x = *hidden + bias;
            let (distribution, density) = normal(x);
            *active = x * distribution;
            *hidden = x.mul_add(density * INVERSE_SQRT_TWO_PI as f32, distribution);
        }
    }
}
