//! Focal loss for independent classes.

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Int, Tensor};

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// The constants of a [`focal_loss`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FocalLoss {
    /// Weight of the true class; the others have `1 - alpha`.
    pub alpha: f32,
    /// Focusing parameter: the larger it is, the less well-classified examples count.
    pub gamma: f32,
}

/// Label of [`focal_loss`] for background: no class is present.
pub const BACKGROUND: i32 = -1;
/// Label of [`focal_loss`] for positions that are ignored.
pub const NOT_COUNTED: i32 = -2;

/// The sum of the focal losses (Lin et al. 2017, arXiv 1708.02002) over all classes and all positions that are
/// not ignored.
///
/// Under autodiff only the logits are kept.
///
/// # Shapes
///
/// - `logits`: `[outer, classes, positions]`
/// - `labels`: `[outer, positions]`, the true class, [`BACKGROUND`] or [`NOT_COUNTED`]
/// - output: `[1]`
pub fn focal_loss<B: KernelBackend>(
    logits: Tensor<B, 3>,
    labels: Tensor<B, 2, Int>,
    options: FocalLoss,
) -> Tensor<B, 1> {
    tensor(B::focal_loss(
        float(logits),
        labels.into_primitive(),
        options,
    ))
}

/// [`focal_loss`] in plain Burn, as published.
pub fn focal_loss_reference<B: KernelBackend>(
    logits: Tensor<B, 3>,
    labels: Tensor<B, 2, Int>,
    options: FocalLoss,
) -> Tensor<B, 1> {
    let (hits, counted) = hits::<B>(labels, logits.dims()[1]);
    let term = |logits: Tensor<B, 3>, alpha: f32| {
        let wrong = sigmoid(logits.clone().neg());
        log_sigmoid(logits) * wrong.powf_scalar(options.gamma) * -alpha
    };
    let there = term(logits.clone(), options.alpha);
    let absent = term(logits.neg(), 1.0 - options.alpha);
    let loss = there * hits.clone() + absent * (hits.neg() + 1.0);
    (loss * counted).sum()
}

/// Two masks: 1 where a class is present, `[outer, classes, positions]`, and 1 where a position is not ignored,
/// `[outer, 1, positions]`.
fn hits<B: KernelBackend>(
    labels: Tensor<B, 2, Int>,
    classes: usize,
) -> (Tensor<B, 3>, Tensor<B, 3>) {
    let labels = labels.unsqueeze_dim::<3>(1);
    let all = Tensor::<B, 1, Int>::arange(0..classes as i64, &labels.device());
    let all = all.reshape([1, classes, 1]);
    let [outer, _, positions] = labels.dims();
    let shape = [outer, classes, positions];
    let hits = labels
        .clone()
        .expand(shape)
        .equal(all.expand(shape))
        .float();
    let counted = labels.not_equal_elem(i64::from(NOT_COUNTED)).float();
    (hits, counted)
}

/// Signed logits: `s` is the logit where the class is absent and its negative where it is present. The loss is
/// then `alpha sigmoid(s)^gamma softplus(s)` for both.
struct Signed<B: KernelBackend> {
    s: Tensor<B, 3>,
    sign: Tensor<B, 3>,
    /// `alpha` or `1 - alpha`; 0 at ignored positions.
    weight: Tensor<B, 3>,
}

impl<B: KernelBackend> Signed<B> {
    fn new(logits: FloatTensor<B>, labels: IntTensor<B>, options: FocalLoss) -> Self {
        let logits = tensor::<B, 3>(logits);
        let labels = Tensor::from_primitive(labels);
        let (hits, counted) = hits::<B>(labels, logits.dims()[1]);
        let sign = hits.clone() * -2.0 + 1.0;
        let weight = hits * (2.0 * options.alpha - 1.0) + (1.0 - options.alpha);
        Self {
            s: logits * sign.clone(),
            sign,
            weight: weight * counted,
        }
    }
}

pub(crate) fn forward<B: KernelBackend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
    options: FocalLoss,
) -> FloatTensor<B> {
    let Signed { s, weight, .. } = Signed::<B>::new(logits, labels, options);
    let softplus = log_sigmoid(s.clone().neg()).neg();
    float((sigmoid(s).powf_scalar(options.gamma) * softplus * weight).sum())
}

/// `alpha q^gamma (gamma (1 - q) softplus(s) + q)` with `q = sigmoid(s)`.
pub(crate) fn backward<B: KernelBackend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
    grad: FloatTensor<B>,
    options: FocalLoss,
) -> FloatTensor<B> {
    let Signed { s, sign, weight } = Signed::<B>::new(logits, labels, options);
    let softplus = log_sigmoid(s.clone().neg()).neg();
    let q = sigmoid(s);
    let slope = (q.clone().neg() + 1.0) * softplus * options.gamma + q.clone();
    let grad = tensor::<B, 1>(grad).reshape([1, 1, 1]);
    float(q.powf_scalar(options.gamma) * slope * weight * sign * grad)
}
