//! Sums, bias and activation.

use burn::tensor::Tensor;
use gradway_kernels::{Activation, add, bias_activation, bias_activation_reference, gelu};

use crate::harness::{
    Inputs, Leaves, Tracked, assert_only_tracked_inputs_have_gradients, assert_parity,
};

const ACTIVATIONS: [Activation; 4] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::Gelu,
];

/// Every activation of an input and, where `shapes` has one, a bias. Inputs are in -8..8, so that
/// every rectifier clips at both of its ends.
fn equals_its_reference<const D: usize>(seed: u64, shapes: &[&[usize]], axis: usize) {
    let arguments = |leaves: &Leaves| -> (Tensor<Tracked, D>, Option<Tensor<Tracked, 1>>) {
        let bias = (shapes.len() > 1).then(|| leaves.get(1));
        (leaves.get::<D>(0) * 4.0, bias)
    };
    for activation in ACTIVATIONS {
        assert_parity(
            &Inputs::random(seed, shapes),
            |leaves| {
                let (x, bias) = arguments(leaves);
                bias_activation(x, bias, axis, activation)
            },
            |leaves| {
                let (x, bias) = arguments(leaves);
                bias_activation_reference(x, bias, axis, activation)
            },
        );
    }
}

#[test]
fn the_sum_of_two_maps() {
    assert_parity(
        &Inputs::random(7, &[&[3, 5, 41, 60], &[3, 5, 41, 60]]),
        |leaves| add(leaves.get::<4>(0), leaves.get(1)),
        |leaves| leaves.get::<4>(0) + leaves.get(1),
    );
    // Neither operand, each in use elsewhere, is changed.
    assert_parity(
        &Inputs::random(8, &[&[4, 9], &[4, 9]]),
        |leaves| add(leaves.get::<2>(0), leaves.get(1)) * leaves.get(0) + leaves.get(1),
        |leaves| (leaves.get::<2>(0) + leaves.get(1)) * leaves.get(0) + leaves.get(1),
    );
}

#[test]
fn along_the_last_axis() {
    // 19 channels are no multiple of a vector; 3 x 1000 rows are several chunks and a rest.
    equals_its_reference::<3>(1, &[&[3, 1000, 19], &[19]], 2);
}

#[test]
fn along_the_channels_of_a_map() {
    equals_its_reference::<4>(2, &[&[2, 5, 37, 61], &[5]], 1);
}

#[test]
fn without_a_bias() {
    equals_its_reference::<2>(3, &[&[7, 5003]], 1);
}

#[test]
fn a_transposed_input() {
    assert_parity(
        &Inputs::random(4, &[&[33, 70], &[33]]),
        |leaves| {
            let x = leaves.get::<2>(0).transpose();
            bias_activation(x, Some(leaves.get(1)), 1, Activation::Gelu)
        },
        |leaves| {
            let x = leaves.get::<2>(0).transpose();
            bias_activation_reference(x, Some(leaves.get(1)), 1, Activation::Gelu)
        },
    );
}

#[test]
fn an_input_in_use_elsewhere_is_not_changed() {
    assert_parity(
        &Inputs::random(5, &[&[3, 40]]),
        |leaves| gelu(leaves.get::<2>(0)) + leaves.get::<2>(0),
        |leaves| {
            let x = leaves.get::<2>(0);
            bias_activation_reference(x.clone(), None, 1, Activation::Gelu) + x
        },
    );
}

#[test]
fn only_tracked_inputs_have_gradients() {
    assert_only_tracked_inputs_have_gradients(&Inputs::random(6, &[&[3, 4, 9], &[4]]), |leaves| {
        bias_activation(leaves.get::<3>(0), Some(leaves.get(1)), 1, Activation::Gelu)
    });
}
