//! Layer norm, batch norm and LayerScale.

use burn::tensor::Tensor;
use gradway_kernels::{
    BatchStatistics, batch_norm, batch_norm_reference, layer_norm, layer_norm_reference,
    layer_scale, layer_scale_reference,
};

use crate::harness::{
    Inputs, Leaves, Tracked, VALUE, assert_close, assert_only_tracked_inputs_have_gradients,
    assert_parity,
};

const EPSILON: f64 = 1e-5;

fn layer_norm_inputs() -> Inputs {
    Inputs::random(1, &[&[3, 5, 7, 9], &[9], &[9]])
}

fn layer_norm_operator(leaves: &Leaves) -> Tensor<Tracked, 4> {
    layer_norm(leaves.get(0), leaves.get(1), leaves.get(2), EPSILON)
}

#[test]
fn layer_norm_equals_its_reference() {
    assert_parity(&layer_norm_inputs(), layer_norm_operator, |leaves| {
        layer_norm_reference::<_, 4>(leaves.get(0), leaves.get(1), leaves.get(2), EPSILON)
    });
}

#[test]
fn layer_norm_of_a_matrix_equals_its_reference() {
    let inputs = Inputs::random(2, &[&[11, 5], &[5], &[5]]);
    // An epsilon large enough to show wherever it is added.
    let epsilon = 0.3;
    assert_parity(
        &inputs,
        |leaves| layer_norm::<_, 2>(leaves.get(0), leaves.get(1), leaves.get(2), epsilon),
        |leaves| layer_norm_reference::<_, 2>(leaves.get(0), leaves.get(1), leaves.get(2), epsilon),
    );
}

#[test]
fn layer_norm_gives_untracked_parents_no_gradient() {
    assert_only_tracked_inputs_have_gradients(&layer_norm_inputs(), layer_norm_operator);
}

#[test]
fn layer_scale_equals_its_reference_and_gives_untracked_parents_no_gradient() {
    let inputs = Inputs::random(4, &[&[3, 5, 7, 9], &[9]]);
    let operator = |leaves: &Leaves| layer_scale::<_, 4>(leaves.get(0), leaves.get(1));
    assert_parity(&inputs, operator, |leaves| {
        layer_scale_reference::<_, 4>(leaves.get(0), leaves.get(1))
    });
    assert_only_tracked_inputs_have_gradients(&inputs, operator);
}

fn batch_norm_inputs() -> Inputs {
    Inputs::random(3, &[&[3, 5, 7, 9], &[5], &[5]])
}

fn batch_norm_operator(leaves: &Leaves) -> Tensor<Tracked, 4> {
    let statistics = BatchStatistics::Batch;
    batch_norm(
        leaves.get(0),
        leaves.get(1),
        leaves.get(2),
        statistics,
        EPSILON,
    )
    .0
}

#[test]
fn batch_norm_in_training_equals_its_reference() {
    assert_parity(&batch_norm_inputs(), batch_norm_operator, |leaves| {
        batch_norm_reference(leaves.get(0), leaves.get(1), leaves.get(2), EPSILON)
    });
}

#[test]
fn batch_norm_with_a_large_epsilon_equals_its_reference() {
    let inputs = Inputs::random(4, &[&[2, 3, 1, 5], &[3], &[3]]);
    let statistics = BatchStatistics::Batch;
    assert_parity(
        &inputs,
        |leaves| {
            let statistics = statistics.clone();
            batch_norm(leaves.get(0), leaves.get(1), leaves.get(2), statistics, 0.3).0
        },
        |leaves| batch_norm_reference(leaves.get(0), leaves.get(1), leaves.get(2), 0.3),
    );
}

#[test]
fn batch_norm_in_training_gives_untracked_parents_no_gradient() {
    assert_only_tracked_inputs_have_gradients(&batch_norm_inputs(), batch_norm_operator);
}

#[test]
fn batch_norm_in_training_answers_mean_and_biased_variance_of_the_batch() {
    let device = Default::default();
    // Two images of two channels, one row of two positions each; checked by hand.
    let x = [[[[1.0, 3.0]], [[-2.0, 0.0]]], [[[5.0, 7.0]], [[4.0, -6.0]]]];
    let x = Tensor::<Tracked, 4>::from_data(x, &device);
    let ones = Tensor::<Tracked, 1>::ones([2], &device);
    let (_, mean, variance) = batch_norm(x, ones.clone(), ones, BatchStatistics::Batch, EPSILON);
    let read = |tensor: Tensor<Tracked, 1>| tensor.into_data().to_vec::<f32>().unwrap();
    assert_close("the mean", &read(mean), &[4.0, -1.0], VALUE);
    assert_close("the variance", &read(variance), &[5.0, 13.0], VALUE);
}

#[test]
fn batch_norm_in_evaluation_equals_its_plain_statement() {
    let inputs = Inputs::random(5, &[&[3, 5, 7, 9], &[5], &[5], &[5], &[5]]);
    // A variance is positive.
    let variance = |leaves: &Leaves| leaves.get::<1>(4).exp();
    assert_parity(
        &inputs,
        |leaves| {
            let statistics = BatchStatistics::Running {
                mean: leaves.get(3),
                variance: variance(leaves),
            };
            batch_norm(
                leaves.get(0),
                leaves.get(1),
                leaves.get(2),
                statistics,
                EPSILON,
            )
            .0
        },
        |leaves| {
            let per_channel = |values: Tensor<Tracked, 1>| values.reshape([1, 5, 1, 1]);
            let centred = leaves.get::<4>(0) - per_channel(leaves.get(3));
            let normalised = centred / per_channel((variance(leaves) + EPSILON).sqrt());
            normalised * per_channel(leaves.get(1)) + per_channel(leaves.get(2))
        },
    );
}
