//! Linear layers and chains of them over rows. Every task takes some rows through all layers, so the values
//! between two layers stay in the cache.

use std::mem::MaybeUninit;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::activation::{Finish, SumBias};
use super::gemm::{Scratch, balanced, is_by_columns, multiply, task_rows};
use super::matrix::Matrix;
use super::packed::Right;
use super::storage::{refill, tensor, written};
use super::vector::total;
use crate::activation::Activation;

/// Largest weight whose gradient is a sum over shares of the rows; a larger one has enough parts for all threads.
const SHARED: usize = 1 << 18;
/// Maximum number of shares: the division is fixed, so sums do not depend on the number of threads.
const SHARES: usize = 16;
/// Number of rows that a share adds at once.
const ROWS: usize = 384;

/// `activation(x W + b)`
pub(super) struct Layer {
    /// `[inputs, outputs]`
    weight: FlexTensor,
    /// `[outputs]`
    bias: Option<FlexTensor>,
    activation: Activation,
}

impl Layer {
    pub(super) fn new(
        weight: FlexTensor,
        bias: Option<FlexTensor>,
        activation: Activation,
    ) -> Self {
        // A transposed weight is multiplied as it lies.
        let weight = if Matrix::of(&weight).is_some() {
            weight
        } else {
            weight.to_contiguous()
        };
        Self {
            weight,
            bias: bias.map(|bias| bias.to_contiguous()),
            activation,
        }
    }

    fn size(&self) -> [usize; 2] {
        let shape = self.weight.layout().shape();
        [shape[0], shape[1]]
    }

    fn matrix(&self) -> Matrix<'_> {
        match Matrix::of(&self.weight) {
            Some(matrix) => matrix,
            None => unreachable!("a weight that is laid out otherwise was copied"),
        }
    }

    /// Applies the layer to rows.
    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let [inputs, outputs] = self.size();
        let sizes = [x.len() / inputs, inputs, outputs];
        let x = Matrix::rows(x, inputs);
        multiply(x, self.matrix(), sizes, self.finish())
    }

    fn finish(&self) -> Finish<'_> {
        let bias = match &self.bias {
            Some(bias) => SumBias::Columns(bias.storage()),
            None => SumBias::None,
        };
        Finish::new(bias, self.activation)
    }
}

/// See [`crate::linear_activation`].
pub(super) fn forward(
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    activation: Activation,
) -> FlexTensor {
    chain(x, &[Layer::new(weight, bias, activation)])
}

/// See [`crate::feed_forward`].
pub(super) fn feed_forward(
    x: FlexTensor,
    [first, second]: [(FlexTensor, Option<FlexTensor>); 2],
) -> FlexTensor {
    let layers = [
        Layer::new(first.0, first.1, Activation::Gelu),
        Layer::new(second.0, second.1, Activation::Identity),
    ];
    chain(x, &layers)
}

/// See [`crate::KernelBackend::linear_backward_weight`].
pub(super) fn backward_weight(x: &FlexTensor, grad: &FlexTensor) -> FlexTensor {
    let (x, grad) = (x.to_contiguous(), grad.to_contiguous());
    let (count, inputs) = (x.layout().shape()[0], x.layout().shape()[1]);
    let outputs = grad.layout().shape()[1];
    let (x, grad): (&[f32], &[f32]) = (x.storage(), grad.storage());
    let size = inputs * outputs;
    let values = if size <= SHARED {
        let share = count.div_ceil(SHARES).next_multiple_of(ROWS);
        let shares = x.par_chunks(share * inputs);
        let shares = shares.zip(grad.par_chunks(share * outputs));
        let sum = |(x, grad): (&[f32], &[f32])| {
            let mut sums = vec![0.0; size];
            let mut scratch = Scratch::default();
            let chunks = x.chunks(ROWS * inputs);
            for (x, grad) in chunks.zip(grad.chunks(ROWS * outputs)) {
                let sizes = [inputs, x.len() / inputs, outputs];
                let x = Matrix::rows(x, inputs).transposed();
                scratch.multiply_add(x, Matrix::rows(grad, outputs), &mut sums, sizes);
            }
            sums
        };
        let parts: Vec<Vec<f32>> = shares.map(sum).collect();
        total(size, &parts)
    } else {
        let x = Matrix::rows(x, inputs).transposed();
        let grad = Matrix::rows(grad, outputs);
        multiply(x, grad, [inputs, count, outputs], Finish::NOTHING)
    };
    tensor(values, [inputs, outputs])
}

/// Applies the layers one after the other to `[rows, inputs]`.
pub(super) fn chain(x: FlexTensor, layers: &[Layer]) -> FlexTensor {
    let Some(last) = layers.last() else {
        return x;
    };
    let x = x.to_contiguous();
    let values: &[f32] = x.storage();
    let (count, inputs) = (x.layout().shape()[0], x.layout().shape()[1]);
    let outputs = last.size()[1];
    let is_shared = layers
        .iter()
        .any(|layer| is_by_columns(count, layer.size()[1]));
    let output = match layers {
        [first, rest @ ..] if rest.is_empty() || is_shared => {
            let first = first.forward(values);
            rest.iter()
                .fold(first, |values, layer| layer.forward(&values))
        }
        _ => through(values, layers, [count, inputs, outputs]),
    };
    tensor(output, [count, outputs])
}

/// Takes some rows at a time through all layers.
fn through(x: &[f32], layers: &[Layer], [count, inputs, outputs]: [usize; 3]) -> Vec<f32> {
    let weights: Vec<Right> = layers
        .iter()
        .map(|layer| Right::new(layer.matrix(), layer.size()))
        .collect();
    let rows = layers.iter().map(|layer| task_rows(layer.size()[0])).min();
    let rows = balanced(count, rows.unwrap_or(1));
    let write = |places: &mut [MaybeUninit<f32>]| {
        let chunks = places.par_chunks_mut(rows * outputs);
        let tasks = chunks.zip(x.par_chunks(rows * inputs));
        // What goes into a layer and what comes out.
        let held = || [const { Vec::new() }; 2];
        tasks.for_each_init(
            || (Scratch::default(), held()),
            |(scratch, [from, to]), (places, x)| {
                let rows = x.len() / inputs;
                for (index, (layer, weight)) in layers.iter().zip(&weights).enumerate() {
                    let [inputs, outputs] = layer.size();
                    let x = Matrix::rows(if index == 0 { x } else { from }, inputs);
                    let mut forward = |places: &mut [MaybeUninit<f32>]| {
                        scratch.finished_rows(x, weight, layer.finish(), places, outputs);
                    };
                    if index + 1 == layers.len() {
                        forward(places);
                    } else {
                        // SAFETY: every column of every row is written.
                        unsafe { refill(to, rows * outputs, forward) };
                        std::mem::swap(from, to);
                    }
                }
            },
        );
    };
    // SAFETY: the chunks cover all rows, and the last layer writes every column.
    unsafe { written(count * outputs, write) }
}
