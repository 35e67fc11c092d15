//! Matrix products over positions. Their statements broadcast the weight over every leading axis.

use crate::harness::Plain;
use burn::tensor::Tensor;
use gradway_kernels::{
    Activation, bias_activation_reference, feed_forward, linear, linear_activation,
    project_channels,
};

use crate::harness::{
    Inputs, Leaves, Tracked, VALUE, assert_close, assert_only_tracked_inputs_have_gradients,
    assert_parity, evaluate,
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
fn linear_of_many_rows_and_of_a_large_weight_equals_its_plain_statement() {
    // The weight's gradient is a sum over shares of the rows, or a product by all threads.
    for shapes in [[[4500, 7], [7, 5]], [[9, 521], [521, 509]]] {
        let inputs = Inputs::random(38, &[&shapes[0], &shapes[1]]);
        assert_parity(
            &inputs,
            |leaves| linear::<_, 2>(leaves.get(0), leaves.get(1), None),
            |leaves| leaves.get::<2>(0).matmul(leaves.get(1)),
        );
    }
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

/// Two linears with a GELU between, in plain Burn.
fn plain_feed_forward(leaves: &Leaves) -> Tensor<Tracked, 2> {
    let hidden = leaves.get::<2>(0).matmul(leaves.get(1)) + leaves.get::<1>(2).unsqueeze();
    let hidden = bias_activation_reference(hidden, None, 1, Activation::Gelu);
    hidden.matmul(leaves.get(3)) + leaves.get::<1>(4).unsqueeze()
}

#[test]
fn feed_forward_equals_its_plain_statement() {
    // Few rows and more than one task's.
    for rows in [1, 7, 301] {
        let inputs = Inputs::random(36, &[&[rows, 6], &[6, 24], &[24], &[24, 6], &[6]]);
        let layers = |leaves: &Leaves| {
            let layer = |index| (leaves.get(index), Some(leaves.get(index + 1)));
            [layer(1), layer(3)]
        };
        assert_parity(
            &inputs,
            |leaves| feed_forward(leaves.get::<2>(0), layers(leaves)),
            plain_feed_forward,
        );
        // Without a graph the two layers are one pass.
        let layer = |index| (inputs.tensor(index), Some(inputs.tensor(index + 1)));
        let value = feed_forward::<Plain, 2>(inputs.tensor(0), [layer(1), layer(3)]);
        let value: Vec<f32> = value.into_data().to_vec().unwrap();
        let expected = evaluate(&inputs, |_| true, plain_feed_forward).value;
        assert_close("the value without a graph", &value, &expected, VALUE);
    }
}

#[test]
fn linear_with_an_activation_and_a_transposed_weight() {
    let inputs = Inputs::random(37, &[&[205, 6], &[11, 6], &[11]]);
    for activation in [Activation::Relu, Activation::Gelu] {
        assert_parity(
            &inputs,
            |leaves| {
                let weight = leaves.get::<2>(1).transpose();
                linear_activation::<_, 2>(leaves.get(0), weight, Some(leaves.get(2)), activation)
            },
            |leaves| {
                let product = leaves.get::<2>(0).matmul(leaves.get::<2>(1).transpose());
                bias_activation_reference(product, Some(leaves.get(2)), 1, activation)
            },
        );
    }
}
