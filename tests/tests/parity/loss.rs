//! Cross entropy.

use burn::tensor::{Int, Tensor, TensorData};
use gradway_kernels::{
    FocalLoss, cross_entropy, cross_entropy_reference, focal_loss, focal_loss_reference,
};

use crate::harness::{Inputs, Tracked, assert_parity, evaluate};

const CLASSES: i32 = 5;
const IGNORE: u8 = 255;

/// Logits of 3 images of 7x9.
fn logits() -> Inputs {
    Inputs::random(20, &[&[3, 5, 7, 9]])
}

/// Every class in turn; `ignored` says which pixels are not labelled.
fn labels(ignored: impl Fn(i32) -> bool) -> Tensor<Tracked, 3, Int> {
    let values: Vec<i32> = (0..3 * 7 * 9)
        .map(|pixel| {
            if ignored(pixel) {
                i32::from(IGNORE)
            } else {
                (pixel * 3 + pixel / 7) % CLASSES
            }
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [3, 7, 9]), &Default::default())
}

fn equals_its_reference(ignored: impl Fn(i32) -> bool) {
    let labels = labels(ignored);
    assert_parity(
        &logits(),
        |leaves| cross_entropy(leaves.get(0), labels.clone(), IGNORE, &[]),
        |leaves| cross_entropy_reference(leaves.get(0), labels.clone(), IGNORE, &[]),
    );
}

#[test]
fn cross_entropy_equals_its_reference() {
    equals_its_reference(|_| false);
}

#[test]
fn cross_entropy_with_ignored_pixels_equals_its_reference() {
    equals_its_reference(|pixel| pixel % 3 == 0 || pixel < 70);
}

#[test]
fn cross_entropy_enlarges_logits_on_the_way() {
    // Larger, smaller, by whole numbers and not, lines alone.
    for (index, size) in [[2, 3], [7, 3], [3, 9], [1, 1], [13, 20], [5, 40]]
        .into_iter()
        .enumerate()
    {
        let labels = labels(|pixel| pixel % 5 == 0);
        let weights = [0.5, 8.0, 1.0, 0.1, 3.0];
        assert_parity(
            &Inputs::random(22 + index as u64, &[&[3, 5, size[0], size[1]]]),
            |leaves| cross_entropy(leaves.get(0), labels.clone(), IGNORE, &weights),
            |leaves| cross_entropy_reference(leaves.get(0), labels.clone(), IGNORE, &weights),
        );
    }
}

#[test]
fn cross_entropy_is_the_mean_over_the_pixels_that_count() {
    // Stated pixel by pixel in 64 bits: the reference shares the preparation of labels and weights.
    let ignored = |pixel: i32| pixel % 4 == 1;
    let labels = labels(ignored);
    let evaluation = evaluate(&logits(), |_| true, |leaves| leaves.get::<4>(0));
    let [images, classes, positions] = [3, CLASSES as usize, 7 * 9];
    let label = labels.to_data().to_vec::<i32>().unwrap();
    let mut losses = Vec::new();
    for pixel in (0..images * positions).filter(|&pixel| !ignored(pixel as i32)) {
        let (image, position) = (pixel / positions, pixel % positions);
        let logit = |class: usize| {
            f64::from(evaluation.value[(image * classes + class) * positions + position])
        };
        let normaliser: f64 = (0..classes).map(|class| logit(class).exp()).sum();
        losses.push(normaliser.ln() - logit(label[pixel] as usize));
    }
    let expected = losses.iter().sum::<f64>() / losses.len() as f64;

    let actual = evaluate(
        &logits(),
        |_| true,
        |leaves| cross_entropy(leaves.get(0), labels.clone(), IGNORE, &[]),
    );
    let error = (f64::from(actual.value[0]) - expected).abs() / expected;
    assert!(error < 1e-6, "off by {error:.1e}");
}

#[test]
fn weighted_cross_entropy_equals_its_reference() {
    let labels = labels(|pixel| pixel % 3 == 0);
    let weights = [0.5, 8.0, 1.0, 0.1, 3.0];
    assert_parity(
        &logits(),
        |leaves| cross_entropy(leaves.get(0), labels.clone(), IGNORE, &weights),
        |leaves| cross_entropy_reference(leaves.get(0), labels.clone(), IGNORE, &weights),
    );
}

#[test]
fn cross_entropy_of_ignored_pixels_alone_is_zero_with_a_gradient_of_zero() {
    let labels = labels(|_| true);
    let evaluation = evaluate(
        &logits(),
        |_| true,
        |leaves| cross_entropy(leaves.get(0), labels.clone(), IGNORE, &[]),
    );
    assert_eq!(evaluation.value, [0.0]);
    let gradient = evaluation.gradients[0].as_ref().unwrap();
    assert!(gradient.iter().all(|&value| value == 0.0));
}

#[test]
fn cross_entropy_of_large_logits_is_finite() {
    // Far beyond the largest argument of a 32-bit exponential, 88.
    let labels = labels(|_| false);
    assert_parity(
        &logits(),
        |leaves| cross_entropy(leaves.get::<4>(0) * 500.0, labels.clone(), IGNORE, &[]),
        |leaves| cross_entropy_reference(leaves.get::<4>(0) * 500.0, labels.clone(), IGNORE, &[]),
    );
}

#[test]
fn cross_entropy_of_untracked_logits_records_no_graph() {
    let device = Default::default();
    let logits = Tensor::<Tracked, 4>::ones([1, 5, 1, 1], &device);
    let label = Tensor::from_data([[[2]]], &device);
    let tracked = Tensor::<Tracked, 1>::ones([1], &device).require_grad();
    let loss = cross_entropy(logits.clone(), label, IGNORE, &[]) * tracked.clone();
    let gradients = loss.backward();
    assert!(tracked.grad(&gradients).is_some());
    assert!(logits.grad(&gradients).is_none());
}

#[test]
fn focal_loss_equals_its_reference() {
    // Every class, background and what does not count in turn; lines shorter and longer than a block.
    for (positions, gamma) in [(5, 2.0), (600, 2.0), (63, 1.5)] {
        let values: Vec<i32> = (0..3 * positions).map(|index| index % 7 - 2).collect();
        let labels = TensorData::new(values, [3, positions as usize]);
        let labels: Tensor<Tracked, 2, Int> = Tensor::from_data(labels, &Default::default());
        let options = FocalLoss { alpha: 0.25, gamma };
        assert_parity(
            &Inputs::random(21, &[&[3, 5, positions as usize]]),
            |leaves| focal_loss(leaves.get::<3>(0) * 5.0, labels.clone(), options),
            |leaves| focal_loss_reference(leaves.get::<3>(0) * 5.0, labels.clone(), options),
        );
    }
}
