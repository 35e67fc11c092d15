//! What tasks of two classes share: the output is the logit of class 1.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use gradway_data::{BatchLabels, IGNORE};
use gradway_heads::multi_task::losses::{PositiveWeight, binary_cross_entropy};
use gradway_kernels::KernelBackend;

use super::kind::{Decoded, predicted_values};
use crate::task::multi_task::{Appearance, TaskPrediction};

/// Binary cross entropy, `[1]`; none where the labels are no classes.
pub(super) fn loss<B: KernelBackend>(
    decoded: Decoded<'_, B>,
    labels: BatchLabels,
    weight: PositiveWeight,
) -> Option<Tensor<B, 1>> {
    let labels = decoded.classes(labels)?;
    Some(decoded.supervised(|logits| binary_cross_entropy(logits, labels.clone(), IGNORE, weight)))
}

/// The probability of class 1.
pub(super) fn meaning<B: KernelBackend>(logit: Tensor<B, 4>) -> Tensor<B, 4> {
    sigmoid(logit)
}

/// Probabilities of class 1.
pub(super) fn predict<B: KernelBackend>(probabilities: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction> {
    predicted_values(probabilities, Appearance::Grey)
}
