//! Losses of dense tasks. All take predictions at the size of the labels, and are 0 if no pixel is labelled.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use gradway_kernels::clamp_min;

/// Avoids a division by zero for normals of length 0 and means over no pixels.
const EPSILON: f64 = 1e-12;

/// The weights of the two classes of [`binary_cross_entropy`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PositiveWeight {
    /// This weight for positives, and 1 minus it for negatives.
    Fixed(f64),
    /// The share of negatives among the labelled pixels of the batch as the weight of positives, and the other
    /// way round.
    Balanced,
}

/// The mean of `-w y log p - (1 - w) (1 - y) log(1 - p)` over the labelled pixels, where `p` is the sigmoid of
/// the logit (for saliency and edges as in Maninis et al. 2019, arXiv 1904.08918).
///
/// # Shapes
///
/// - `logits`: `[batch, 1, height, width]`
/// - `labels`: `[batch, height, width]`, each 0, 1 or `ignore`
/// - output: `[1]`
pub fn binary_cross_entropy<B: Backend>(
    logits: Tensor<B, 4>,
    labels: Tensor<B, 3, Int>,
    ignore: u8,
    weight: PositiveWeight,
) -> Tensor<B, 1> {
    let logits = logits.squeeze_dim::<3>(1);
    let counted = labels.clone().not_equal_elem(i64::from(ignore)).float();
    let positive = labels.equal_elem(1).float();
    let negative = counted.clone() - positive.clone();
    let count = counted.sum().clamp_min(1.0);
    // log(1 + exp(x)) without an overflow; that of -x is x less.
    let softplus = logits.clone().abs().neg().exp().log1p() + clamp_min(logits.clone(), 0.0);
    let of_negatives = (negative.clone() * softplus.clone()).sum();
    let of_positives = (positive * (softplus - logits)).sum();
    match weight {
        PositiveWeight::Fixed(weight) => {
            (of_positives * weight + of_negatives * (1.0 - weight)) / count
        }
        PositiveWeight::Balanced => {
            let weight = negative.sum() / count.clone();
            let rest = weight.clone().neg() + 1.0;
            (of_positives * weight + of_negatives * rest) / count
        }
    }
}

/// The mean absolute difference of the components of unit normals over the labelled pixels.
///
/// # Shapes
///
/// - `predicted`: `[batch, 3, height, width]`, of any length
/// - `normals`: the same shape, of length 1; 0 at unlabelled pixels
/// - output: `[1]`
pub fn normals_l1<B: Backend>(predicted: Tensor<B, 4>, normals: Tensor<B, 4>) -> Tensor<B, 1> {
    let counted = normals.clone().abs().sum_dim(1).greater_elem(0.0).float();
    let count = counted.clone().sum() * 3.0;
    let difference = (unit(predicted) - normals).abs().sum_dim(1);
    (difference * counted).sum() / count.clamp_min(1.0)
}

/// Normalises vectors to length 1.
///
/// # Shapes
///
/// - `x`, output: `[batch, 3, height, width]`
pub fn unit<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let squares = x.clone() * x.clone();
    let length = (squares.sum_dim(1) + EPSILON).sqrt();
    x / length
}

/// The mean absolute difference over the labelled pixels.
///
/// # Shapes
///
/// - `predicted`: `[batch, 1, height, width]`
/// - `depth`: the same shape; 0 at unlabelled pixels
/// - output: `[1]`
pub fn depth_l1<B: Backend>(predicted: Tensor<B, 4>, depth: Tensor<B, 4>) -> Tensor<B, 1> {
    let counted = depth.clone().greater_elem(0.0).float();
    let count = counted.clone().sum().clamp_min(1.0);
    ((predicted - depth).abs() * counted).sum() / count
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::TensorData;

    use super::*;

    const IGNORE: u8 = 255;

    fn close(loss: Tensor<Flex, 1>, expected: f64) {
        let value = f64::from(loss.into_scalar());
        // Single precision against double.
        assert!((value - expected).abs() < 1e-6, "{value}, not {expected}");
    }

    fn map(values: &[f32], shape: [usize; 4]) -> Tensor<Flex, 4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Default::default())
    }

    fn labels(values: &[i32]) -> Tensor<Flex, 3, Int> {
        let shape = [1, 1, values.len()];
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Default::default())
    }

    #[test]
    fn binary_cross_entropy_by_hand() {
        let logits = [2.0, -1.0, 0.5, 90.0];
        let truth = labels(&[1, 0, 0, i32::from(IGNORE)]);
        let loss = |weight| {
            let logits = map(&logits, [1, 1, 1, 4]);
            binary_cross_entropy(logits, truth.clone(), IGNORE, weight)
        };
        let negative = |x: f64| (1.0 + x.exp()).ln();
        let positives = negative(-2.0);
        let negatives = negative(-1.0) + negative(0.5);
        let fixed = (0.95 * positives + 0.05 * negatives) / 3.0;
        close(loss(PositiveWeight::Fixed(0.95)), fixed);
        // Two of three pixels are negative.
        let balanced = (2.0 / 3.0 * positives + 1.0 / 3.0 * negatives) / 3.0;
        close(loss(PositiveWeight::Balanced), balanced);
        // Nothing counts; and a logit that its exponential would overflow at.
        let none = labels(&[i32::from(IGNORE); 4]);
        let nothing = map(&logits, [1, 1, 1, 4]);
        close(
            binary_cross_entropy(nothing, none, IGNORE, PositiveWeight::Balanced),
            0.0,
        );
        let wrong = binary_cross_entropy(
            map(&[90.0], [1, 1, 1, 1]),
            labels(&[0]),
            IGNORE,
            PositiveWeight::Fixed(0.5),
        );
        close(wrong, 45.0);
    }

    #[test]
    fn normals_and_depth_by_hand() {
        // Two pixels, of which the second has no normal.
        let predicted = map(&[3.0, 1.0, 0.0, 1.0, 4.0, 1.0], [1, 3, 1, 2]);
        let normals = map(&[0.0, 0.0, 0.0, 0.0, 1.0, 0.0], [1, 3, 1, 2]);
        close(normals_l1(predicted, normals), (0.6 + 0.2) / 3.0);
        let nothing = map(&[0.0; 6], [1, 3, 1, 2]);
        close(normals_l1(nothing.clone(), nothing), 0.0);

        let predicted = map(&[1.0, 5.0, 2.0], [1, 1, 1, 3]);
        let depth = map(&[2.0, 0.0, 4.0], [1, 1, 1, 3]);
        close(depth_l1(predicted, depth), 1.5);
        let nothing = map(&[0.0], [1, 1, 1, 1]);
        close(depth_l1(map(&[3.0], [1, 1, 1, 1]), nothing), 0.0);
    }
}
