//! Pixel-wise cross entropy with an ignore label.

use burn::tensor::activation::log_softmax;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Int, Tensor, TensorMetadata};

use crate::KernelBackend;
use crate::primitive::{float, tensor};
use crate::resize::resize_bilinear;

/// The mean cross entropy over the pixels whose label is not `ignore`; 0 if there are none.
///
/// With `class_weights` the mean is weighted by the weight of each pixel's class (PyTorch's `weight`). An empty
/// list means equal weights.
///
/// Logits of another size than the labels are resized to them ([`resize_bilinear`](crate::resize_bilinear));
/// the backends of this crate do this piece by piece and never store the resized logits.
///
/// Under autodiff the logits are kept at their own size, and one number per pixel.
///
/// # Shapes
///
/// - `logits`: `[batch, classes, height, width]`, of any size
/// - `labels`: `[batch, height, width]`, each below `classes` or `ignore`
/// - `class_weights`: `[classes]` or empty
/// - output: `[1]`
pub fn cross_entropy<B: KernelBackend>(
    logits: Tensor<B, 4>,
    labels: Tensor<B, 3, Int>,
    ignore: u8,
    class_weights: &[f32],
) -> Tensor<B, 1> {
    let [_, height, width] = labels.dims();
    let (labels, weights) = prepare(labels, ignore, class_weights);
    let (labels, weights) = (labels.into_primitive(), float(weights));
    let [loss, _] = B::cross_entropy_map(float(logits), labels, weights, [height, width]);
    tensor(loss)
}

/// [`cross_entropy`] in plain Burn.
pub fn cross_entropy_reference<B: KernelBackend>(
    logits: Tensor<B, 4>,
    labels: Tensor<B, 3, Int>,
    ignore: u8,
    class_weights: &[f32],
) -> Tensor<B, 1> {
    let [_, height, width] = labels.dims();
    let logits = resize_bilinear(logits, [height, width]);
    let [batch, classes, ..] = logits.dims();
    let (labels, weights) = prepare::<B>(labels, ignore, class_weights);
    let logits = logits.reshape([batch, classes, height * width]);
    let picked = log_softmax(logits, 1).gather(1, labels.unsqueeze_dim(1));
    (picked * weights.unsqueeze_dim(1)).sum().neg()
}

/// A valid label for every pixel, and its weight in the mean: `[batch, positions]` each.
fn prepare<B: KernelBackend>(
    labels: Tensor<B, 3, Int>,
    ignore: u8,
    class_weights: &[f32],
) -> (Tensor<B, 2, Int>, Tensor<B, 2>) {
    let [batch, height, width] = labels.dims();
    let labels = labels.reshape([batch * height * width]);
    let ignored = labels.clone().equal_elem(i64::from(ignore));
    let labels = labels.mask_fill(ignored.clone(), 0);
    let counted = ignored.bool_not().float();
    let (counted, least) = if class_weights.is_empty() {
        (counted, 1.0)
    } else {
        let weights = Tensor::<B, 1>::from_floats(class_weights, &labels.device());
        let weights = weights.select(0, labels.clone());
        (counted * weights, f32::MIN_POSITIVE)
    };
    let total = counted.clone().sum().clamp_min(least);
    let shape = [batch, height * width];
    (labels.reshape(shape), (counted / total).reshape(shape))
}

/// The logits at the size of the labels, `[batch, classes, positions]`.
fn enlarged<B: KernelBackend>(logits: FloatTensor<B>, size: [usize; 2]) -> Tensor<B, 3> {
    let logits = resize_bilinear(tensor::<B, 4>(logits), size);
    let [batch, classes, height, width] = logits.dims();
    logits.reshape([batch, classes, height * width])
}

/// The loss, and the normaliser of every position.
pub(crate) fn forward<B: KernelBackend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
    weights: FloatTensor<B>,
    size: [usize; 2],
) -> [FloatTensor<B>; 2] {
    let logits = enlarged::<B>(logits, size);
    let labels = Tensor::<B, 2, Int>::from_primitive(labels).unsqueeze_dim::<3>(1);
    let weights = tensor::<B, 2>(weights);
    let maximum = logits.clone().max_dim(1);
    let normalisers = (logits.clone() - maximum.clone()).exp().sum_dim(1).log() + maximum;
    let picked = logits.gather(1, labels);
    let loss = ((normalisers.clone() - picked) * weights.clone().unsqueeze_dim(1)).sum();
    [float(loss), float(normalisers.reshape(weights.dims()))]
}

/// `(probability - 1[class = label]) * weight * grad`.
pub(crate) fn backward<B: KernelBackend>(
    logits: FloatTensor<B>,
    normalisers: FloatTensor<B>,
    labels: IntTensor<B>,
    weights: FloatTensor<B>,
    grad: FloatTensor<B>,
    size: [usize; 2],
) -> FloatTensor<B> {
    let [batch, classes, height, width] = logits.shape().dims();
    let labels = Tensor::<B, 2, Int>::from_primitive(labels).unsqueeze_dim::<3>(1);
    let weights = tensor::<B, 2>(weights) * tensor::<B, 1>(grad).unsqueeze();
    let weights = weights.unsqueeze_dim::<3>(1);
    let normalisers = tensor::<B, 2>(normalisers).unsqueeze_dim::<3>(1);
    let probabilities = (enlarged::<B>(logits, size) - normalisers).exp();
    let operation = burn::tensor::IndexingUpdateOp::Add;
    let weighted = probabilities * weights.clone();
    let grad = weighted.scatter(1, labels, weights.neg(), operation);
    let grad = float(grad.reshape([batch, classes, size[0], size[1]]));
    if size == [height, width] {
        grad
    } else {
        B::resize_bilinear_backward(grad, [height, width])
    }
}
