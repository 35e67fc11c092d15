//! Cross entropy of every pixel, with pixels that do not count.

use burn::tensor::activation::log_softmax;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Int, Tensor};

use crate::KernelBackend;
use crate::layer_norm::{float, tensor};

/// Mean cross entropy over the pixels whose label is not `ignore`; 0 where none is left.
///
/// With `class_weights` the mean is weighted by that of each pixel's class (PyTorch's `weight`); none
/// are as good as equal ones.
///
/// Under autodiff only the log-probabilities stay alive.
///
/// # Shapes
///
/// - `logits`: `[batch, classes, height, width]`
/// - `labels`: `[batch, height, width]`, each below `classes` or `ignore`
/// - `class_weights`: `[classes]` or empty
/// - output: `[1]`
pub fn cross_entropy<B: KernelBackend>(
    logits: Tensor<B, 4>,
    labels: Tensor<B, 3, Int>,
    ignore: u8,
    class_weights: &[f32],
) -> Tensor<B, 1> {
    let (rows, labels, weights) = prepare(logits, labels, ignore, class_weights);
    tensor(B::cross_entropy_rows(
        float(rows),
        labels.into_primitive(),
        float(weights),
    ))
}

/// [`cross_entropy`] in plain Burn.
pub fn cross_entropy_reference<B: KernelBackend>(
    logits: Tensor<B, 4>,
    labels: Tensor<B, 3, Int>,
    ignore: u8,
    class_weights: &[f32],
) -> Tensor<B, 1> {
    let (rows, labels, weights) = prepare(logits, labels, ignore, class_weights);
    let picked = log_softmax(rows, 1).gather(1, labels.unsqueeze_dim(1));
    (picked * weights.unsqueeze_dim(1)).sum().neg()
}

/// Pixels as rows `[pixels, classes]`, a valid label for each, and its weight in the mean.
fn prepare<B: KernelBackend>(
    logits: Tensor<B, 4>,
    labels: Tensor<B, 3, Int>,
    ignore: u8,
    class_weights: &[f32],
) -> (Tensor<B, 2>, Tensor<B, 1, Int>, Tensor<B, 1>) {
    let [batch, classes, height, width] = logits.dims();
    let pixels = batch * height * width;
    let rows = logits
        .reshape([batch, classes, height * width])
        .swap_dims(1, 2)
        .reshape([pixels, classes]);
    let labels = labels.reshape([pixels]);
    let ignored = labels.clone().equal_elem(i64::from(ignore));
    let labels = labels.mask_fill(ignored.clone(), 0);
    let counted = ignored.bool_not().float();
    let (counted, least) = if class_weights.is_empty() {
        (counted, 1.0)
    } else {
        let weights = Tensor::<B, 1>::from_floats(class_weights, &labels.device());
        (
            counted * weights.select(0, labels.clone()),
            f32::MIN_POSITIVE,
        )
    };
    let total = counted.clone().sum().clamp_min(least);
    (rows, labels, counted / total)
}

/// The loss and the log-probabilities that its backward pass needs.
pub(crate) fn forward<B: KernelBackend>(
    rows: FloatTensor<B>,
    labels: IntTensor<B>,
    weights: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let rows = tensor::<B, 2>(rows);
    let labels = Tensor::<B, 1, Int>::from_primitive(labels);
    let weights = tensor::<B, 1>(weights);
    // Two broadcasts of one scalar per row, the shape that is fast everywhere.
    let shifted = rows.clone() - rows.max_dim(1);
    let normaliser = shifted.clone().exp().sum_dim(1).log();
    let log_probabilities = shifted - normaliser;
    let picked = log_probabilities.clone().gather(1, labels.unsqueeze_dim(1));
    let loss = (picked * weights.unsqueeze_dim(1)).sum().neg();
    (float(loss), float(log_probabilities))
}

/// `(probability - 1[class = label]) * weight * grad`.
pub(crate) fn backward<B: KernelBackend>(
    log_probabilities: FloatTensor<B>,
    labels: IntTensor<B>,
    weights: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let labels = Tensor::<B, 1, Int>::from_primitive(labels).unsqueeze_dim::<2>(1);
    let weights = tensor::<B, 1>(weights) * tensor::<B, 1>(grad);
    let weights = weights.unsqueeze_dim::<2>(1);
    let weighted = tensor::<B, 2>(log_probabilities).exp() * weights.clone();
    let operation = burn::tensor::IndexingUpdateOp::Add;
    float(weighted.scatter(1, labels, weights.neg(), operation))
}
