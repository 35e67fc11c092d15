//! Focal loss, in one pass over the logits.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::labels::labels;
use super::math::{exp, softplus};
use super::storage::{tensor, transform};
use super::vector::vectorised;
use crate::focal_loss::{FocalLoss, NOT_COUNTED};

/// `q^gamma`, `q = sigmoid(s)` and `softplus(s)` of a class at a position, where `s` is the signed logit:
/// negated where the class is present.
#[inline(always)]
fn parts(s: f32, gamma: f32) -> [f32; 3] {
    let q = 1.0 / (1.0 + exp(-s));
    let focus = if gamma == 2.0 { q * q } else { q.powf(gamma) };
    [focus, q, softplus(s)]
}

/// The sign and the weight of a class at a position with this label.
#[inline(always)]
fn side(label: i32, class: i32, alpha: f32) -> [f32; 2] {
    let [sign, weight] = match label == class {
        true => [-1.0, alpha],
        false => [1.0, 1.0 - alpha],
    };
    [sign, if label == NOT_COUNTED { 0.0 } else { weight }]
}

/// See [`crate::focal_loss`].
pub(super) fn forward(
    logits: &FlexTensor,
    labels_of: &FlexTensor,
    options: FocalLoss,
) -> FlexTensor {
    let FocalLoss { alpha, gamma } = options;
    let logits = logits.to_contiguous();
    let shape = logits.layout().shape();
    let (classes, positions) = (shape[1], shape[2]);
    let labels = labels(labels_of);
    let rows = logits.storage::<f32>().par_chunks(positions.max(1));
    let losses: Vec<f64> = rows
        .enumerate()
        .map(|(row, logits)| {
            let (outer, class) = (row / classes, (row % classes) as i32);
            let labels = &labels[outer * positions..][..positions];
            let mut total = 0.0;
            // Blocks are summed in single precision, their sums in double.
            for (logits, labels) in logits.chunks(256).zip(labels.chunks(256)) {
                let sum = vectorised(
                    #[inline(always)]
                    || {
                        let mut sum = [0.0_f32; 8];
                        let (blocks, rest) = logits.as_chunks::<8>();
                        let (label_blocks, label_rest) = labels.as_chunks::<8>();
                        let loss = |logit: f32, label: i32| {
                            let [sign, weight] = side(label, class, alpha);
                            let [focus, _, softplus] = parts(sign * logit, gamma);
                            weight * focus * softplus
                        };
                        for (logits, labels) in blocks.iter().zip(label_blocks) {
                            for lane in 0..8 {
                                sum[lane] += loss(logits[lane], labels[lane]);
                            }
                        }
                        let rest = rest.iter().zip(label_rest);
                        let rest: f32 = rest.map(|(logit, label)| loss(*logit, *label)).sum();
                        sum.iter().sum::<f32>() + rest
                    },
                );
                total += f64::from(sum);
            }
            total
        })
        .collect();
    tensor(vec![losses.iter().sum::<f64>() as f32], [1])
}

/// The gradient of the logits, computed in place.
pub(super) fn backward(
    logits: FlexTensor,
    labels_of: &FlexTensor,
    grad: &FlexTensor,
    options: FocalLoss,
) -> FlexTensor {
    let FocalLoss { alpha, gamma } = options;
    let shape = logits.layout().shape();
    let (classes, positions) = (shape[1], shape[2]);
    let labels = labels(labels_of);
    let grad = grad.to_contiguous().storage::<f32>()[0];
    transform(
        logits,
        positions.max(1),
        #[inline(always)]
        |start, chunk| {
            let first = start / positions;
            for (index, row) in chunk.chunks_exact_mut(positions).enumerate() {
                let row_index = first + index;
                let (outer, class) = (row_index / classes, (row_index % classes) as i32);
                let labels = &labels[outer * positions..][..positions];
                for (value, label) in row.iter_mut().zip(labels) {
                    let [sign, weight] = side(*label, class, alpha);
                    let [focus, q, softplus] = parts(sign * *value, gamma);
                    let slope = gamma * (1.0 - q) * softplus + q;
                    *value = sign * weight * grad * focus * slope;
                }
            }
        },
    )
}
