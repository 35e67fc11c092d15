//! Chains of linear layers over rows: every task takes some rows through all of them, so that what
//! lies between two layers stays in the cache.

use std::mem::MaybeUninit;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::activation::apply;
use super::matrix::{Matrix, multiply, multiply_add};
use super::storage::{tensor, written};
use super::vector::{total, vectorised};
use crate::activation::Activation;

/// Elements between two layers that a task holds, about: 512 KiB, a usual second-level cache.
const HELD: usize = 1 << 17;
/// Fewest and most rows of a task: fewer pack the weight too often, more leave the cache.
const ROWS: [usize; 2] = [192, 256];
/// With fewer rows for each task, the threads share every product instead.
const FEW: usize = 128;
/// Rows of a shared product to which a task adds bias and activation.
const FINISHED: usize = 16;
/// Largest weight whose gradient is a sum over shares of the rows; a larger one has parts enough for
/// all threads.
const SHARED: usize = 1 << 18;
/// Most shares: a fixed division, so that sums do not depend on threads.
const SHARES: usize = 16;

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

    /// The layer on some rows.
    fn forward<'a>(
        &self,
        x: &[f32],
        output: &'a mut [MaybeUninit<f32>],
        is_parallel: bool,
    ) -> &'a mut [f32] {
        let [inputs, outputs] = self.size();
        let sizes = [output.len() / outputs, inputs, outputs];
        let x = Matrix::rows(x, inputs);
        let output = multiply(x, self.matrix(), output, sizes, is_parallel);
        if is_parallel {
            output
                .par_chunks_mut(FINISHED * outputs)
                .for_each(|rows| self.finish(rows));
        } else {
            self.finish(output);
        }
        output
    }

    /// Bias and activation.
    fn finish(&self, rows: &mut [f32]) {
        let bias: Option<&[f32]> = self.bias.as_ref().map(|bias| bias.storage());
        vectorised(
            #[inline(always)]
            || {
                if let Some(bias) = bias {
                    for row in rows.chunks_exact_mut(bias.len()) {
                        for (value, &bias) in row.iter_mut().zip(bias) {
                            *value += bias;
                        }
                    }
                }
                apply(self.activation, rows);
            },
        );
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
        let share = count.div_ceil(SHARES).next_multiple_of(ROWS[1]);
        let shares = x.par_chunks(share * inputs);
        let shares = shares.zip(grad.par_chunks(share * outputs));
        let sum = |(x, grad): (&[f32], &[f32])| {
            let mut sums = vec![0.0; size];
            let chunks = x.chunks(ROWS[1] * inputs);
            for (x, grad) in chunks.zip(grad.chunks(ROWS[1] * outputs)) {
                let sizes = [inputs, x.len() / inputs, outputs];
                let x = Matrix::rows(x, inputs).transposed();
                multiply_add(x, Matrix::rows(grad, outputs), &mut sums, sizes);
            }
            sums
        };
        let parts: Vec<Vec<f32>> = shares.map(sum).collect();
        total(size, &parts)
    } else {
        let x = Matrix::rows(x, inputs).transposed();
        let grad = Matrix::rows(grad, outputs);
        // SAFETY: the product writes every place.
        unsafe {
            written(size, |places| {
                multiply(x, grad, places, [inputs, count, outputs], true);
            })
        }
    };
    tensor(values, [inputs, outputs])
}

/// The layers one after the other on `[rows, inputs]`.
pub(super) fn chain(x: FlexTensor, layers: &[Layer]) -> FlexTensor {
    let Some((last, before)) = layers.split_last() else {
        return x;
    };
    let x = x.to_contiguous();
    let values: &[f32] = x.storage();
    let (count, inputs) = (x.layout().shape()[0], x.layout().shape()[1]);
    let outputs = last.size()[1];
    let held = before.iter().map(|layer| layer.size()[1]).max();
    let widest = held.unwrap_or(0).max(inputs).max(outputs);
    let rows = (HELD / widest).clamp(ROWS[0], ROWS[1]);
    let threads = rayon::current_num_threads();
    // As many tasks for each thread, of as many rows each.
    let tasks = count.div_ceil(rows).next_multiple_of(threads);
    let rows = count.div_ceil(tasks).max(1);
    let buffers = || vec![Vec::new(); before.len()];
    // SAFETY: either way every row of the output is written by the last layer.
    let output = unsafe {
        written(count * outputs, |places| {
            if rows < FEW {
                return through(layers, values, places, &mut buffers(), true);
            }
            let chunks = places.par_chunks_mut(rows * outputs);
            chunks.zip(values.par_chunks(rows * inputs)).for_each_init(
                buffers,
                |buffers, (places, x)| {
                    through(layers, x, places, buffers, false);
                },
            );
        })
    };
    tensor(output, [count, outputs])
}

/// Takes some rows through the layers; a buffer holds what lies between two.
fn through(
    layers: &[Layer],
    x: &[f32],
    places: &mut [MaybeUninit<f32>],
    buffers: &mut [Vec<MaybeUninit<f32>>],
    is_parallel: bool,
) {
    match (layers, buffers) {
        ([layer, rest @ ..], [buffer, buffers @ ..]) => {
            let [inputs, outputs] = layer.size();
            buffer.resize(x.len() / inputs * outputs, MaybeUninit::uninit());
            let held = layer.forward(x, buffer, is_parallel);
            through(rest, held, places, buffers, is_parallel);
        }
        ([layer, ..], []) => {
            layer.forward(x, places, is_parallel);
        }
        ([], _) => {}
    }
}
