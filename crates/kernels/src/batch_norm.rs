//! Batch normalisation on rows.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// Where the statistics of [`batch_norm`] come from.
#[derive(Debug, Clone)]
pub enum BatchStatistics<B: KernelBackend> {
    /// Computed over the batch and its positions (training).
    Batch,
    /// Running mean and variance, each `[channels]` (evaluation).
    Running {
        /// Running mean, `[channels]`.
        mean: Tensor<B, 1>,
        /// Running variance, `[channels]`.
        variance: Tensor<B, 1>,
    },
}

/// Batch normalisation (Ioffe & Szegedy 2015) of a feature map.
///
/// A per-channel broadcast over `[N, C, H, W]` takes Flex's scalar path, 170 times slower than PyTorch; here
/// every broadcast is one scalar per contiguous row of `[N * C, H * W]`. Under autodiff with batch statistics
/// only the input, `gamma` and the statistics are kept.
///
/// # Shapes
///
/// - `x`: `[batch, channels, height, width]`
/// - `gamma`, `beta`: `[channels]`
/// - output: as `x`, with the batch's mean and biased variance, each `[channels]` (the given ones
///   for [`BatchStatistics::Running`])
pub fn batch_norm<B: KernelBackend>(
    x: Tensor<B, 4>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    statistics: BatchStatistics<B>,
    epsilon: f64,
) -> (Tensor<B, 4>, Tensor<B, 1>, Tensor<B, 1>) {
    let shape = x.shape();
    let [batch, channels, height, width] = x.dims();
    match statistics {
        BatchStatistics::Batch => {
            let x = x.reshape([batch, channels, height * width]);
            let [output, mean, variance] =
                B::batch_norm_train(float(x), float(gamma), float(beta), epsilon);
            (
                tensor::<B, 3>(output).reshape(shape),
                tensor(mean),
                tensor(variance),
            )
        }
        BatchStatistics::Running { mean, variance } => {
            let scale = gamma / (variance.clone() + epsilon).sqrt();
            let shift = beta - mean.clone() * scale.clone();
            let x = x.reshape([batch, channels, height * width]);
            let output = B::scale_and_shift(float(x), float(scale), float(shift));
            (tensor::<B, 3>(output).reshape(shape), mean, variance)
        }
    }
}

/// [`batch_norm`] with batch statistics in plain Burn.
pub fn batch_norm_reference<B: KernelBackend>(
    x: Tensor<B, 4>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 4> {
    let channels = x.dims()[1];
    let mean = x.clone().mean_dim(0).mean_dim(2).mean_dim(3);
    let centred = x - mean;
    let variance = centred.clone().square().mean_dim(0).mean_dim(2).mean_dim(3);
    centred / (variance + epsilon).sqrt() * gamma.reshape([1, channels, 1, 1])
        + beta.reshape([1, channels, 1, 1])
}

/// A `[channels]` vector as one scalar per row of `[batch * channels, positions]`.
///
/// It repeats an axis of length 1: for a longer axis Burn's backward pass of `repeat_dim` adds up the wrong entries.
fn per_row<B: KernelBackend>(values: Tensor<B, 1>, batch: usize) -> Tensor<B, 2> {
    let channels = values.dims()[0];
    values
        .unsqueeze::<2>()
        .repeat_dim(0, batch)
        .reshape([batch * channels, 1])
}

/// The mean of rows `[batch * channels, positions]` over batch and positions, `[channels]`.
fn channel_mean<B: KernelBackend>(rows: Tensor<B, 2>, channels: usize) -> Tensor<B, 1> {
    let batch = rows.dims()[0] / channels;
    rows.mean_dim(1)
        .reshape([batch, channels])
        .mean_dim(0)
        .reshape([channels])
}

pub(crate) fn scale_and_shift<B: KernelBackend>(
    x: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
) -> FloatTensor<B> {
    let x = tensor::<B, 3>(x);
    let [batch, channels, positions] = x.dims();
    let rows = x.reshape([batch * channels, positions]);
    let rows = rows * per_row(tensor(scale), batch) + per_row(tensor(shift), batch);
    float(rows.reshape([batch, channels, positions]))
}

pub(crate) fn forward<B: KernelBackend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    epsilon: f64,
) -> [FloatTensor<B>; 3] {
    let input = tensor::<B, 3>(input);
    let [batch, channels, positions] = input.dims();
    let rows = input.reshape([batch * channels, positions]);
    let mean = channel_mean(rows.clone(), channels);
    let centred = rows - per_row(mean.clone(), batch);
    let variance = channel_mean(centred.clone().square(), channels);
    let scale = tensor::<B, 1>(gamma) / (variance.clone() + epsilon).sqrt();
    let output = centred * per_row(scale, batch) + per_row(tensor::<B, 1>(beta), batch);
    [
        float(output.reshape([batch, channels, positions])),
        float(mean),
        float(variance),
    ]
}

/// Gradients of the input, `gamma` and `beta`.
pub(crate) fn backward<B: KernelBackend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    statistics: [FloatTensor<B>; 2],
    grad: FloatTensor<B>,
    epsilon: f64,
) -> [FloatTensor<B>; 3] {
    let input = tensor::<B, 3>(input);
    let [batch, channels, positions] = input.dims();
    let shape = [batch, channels, positions];
    let [mean, variance] = statistics.map(tensor::<B, 1>);
    let deviation = (variance + epsilon).sqrt();
    let rows = input.reshape([batch * channels, positions]);
    let rows = (rows - per_row(mean, batch)) / per_row(deviation.clone(), batch);
    let gamma = tensor::<B, 1>(gamma);
    let grad = tensor::<B, 3>(grad).reshape([batch * channels, positions]);
    let count = (batch * positions) as f64;

    let mean_grad = channel_mean(grad.clone(), channels);
    let mean_along = channel_mean(grad.clone() * rows.clone(), channels);
    let scale = gamma / deviation;
    let grad_input =
        (grad - per_row(mean_grad.clone(), batch) - rows * per_row(mean_along.clone(), batch))
            * per_row(scale, batch);

    [
        float(grad_input.reshape(shape)),
        float(mean_along * count),
        float(mean_grad * count),
    ]
}
