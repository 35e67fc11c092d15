//! Matrix products over positions. Their statements broadcast the weight over every leading axis.

use burn::tensor::Tensor;
use gradway_kernels::{linear, project_channels};

use crate::harness::{
    Inputs, Leaves, Tracked, assert_only_tracked_inputs_have_gradients, assert_parity,
};

#[test]
fn linear_equals_its_plain_statement() {
    let inputs = Inputs::random(30, &[&[3, 5, 7, 6], &[6, 4], &[4]]);
    assert_parity(
        &inputs,
        |leaves| linear::<_, 4>(leaves.get(0), leaves.get(1), Some(leaves.get(2))),
        |leaves| {
            leaves.get::<4>(0).matmul(leaves.get::<2>(1).unsqueeze())
                + leaves.get::<1>(2).unsqueeze()
        },
    );
}

#[test]
fn linear_without_bias_equals_its_plain_statement() {
    let inputs = Inputs::random(31, &[&[11, 6], &[6, 4]]);
    assert_parity(
        &inputs,
        |leaves| linear::<_, 2>(leaves.get(0), leaves.get(1), None),
        |leaves| leaves.get::<2>(0).matmul(leaves.get(1)),
    );
}

#[test]
fn linear_gives_untracked_parents_no_gradient() {
    let inputs = Inputs::random(32, &[&[3, 5, 6], &[6, 4], &[4]]);
    assert_only_tracked_inputs_have_gradients(&inputs, |leaves| {
        linear::<_, 3>(leaves.get(0), leaves.get(1), Some(leaves.get(2)))
    });
}

/// A 1x1 convolution with the channels moved to the end and back.
fn channels_last_product(leaves: &Leaves) -> Tensor<Tracked, 4> {
    let x = leaves.get::<4>(0).permute([0, 2, 3, 1]);
    let weight = leaves.get::<2>(1).unsqueeze();
    x.matmul(weight).permute([0, 3, 1, 2])
}

#[test]
fn project_channels_equals_its_plain_statement() {
    let inputs = Inputs::random(33, &[&[3, 6, 5, 7], &[6, 4], &[4]]);
    assert_parity(
        &inputs,
        |leaves| project_channels(leaves.get(0), leaves.get(1), Some(leaves.get(2))),
        |leaves| channels_last_product(leaves) + leaves.get::<1>(2).reshape([1, 4, 1, 1]),
    );
}

#[test]
fn project_channels_without_bias_equals_its_plain_statement() {
    let inputs = Inputs::random(34, &[&[2, 5, 3, 9], &[5, 7]]);
    assert_parity(
        &inputs,
        |leaves| project_channels(leaves.get(0), leaves.get(1), None),
        channels_last_product,
    );
}

#[test]
fn project_channels_gives_untracked_parents_no_gradient() {
    let inputs = Inputs::random(35, &[&[3, 6, 5, 7], &[6, 4], &[4]]);
    assert_only_tracked_inputs_have_gradients(&inputs, |leaves| {
        project_channels(leaves.get(0), leaves.get(1), Some(leaves.get(2)))
    });
}
