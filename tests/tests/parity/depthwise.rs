//! Depthwise convolution of maps with their channels last.

use gradway_kernels::{depthwise_convolution, depthwise_convolution_reference};

use crate::harness::{Inputs, assert_only_tracked_inputs_have_gradients, assert_parity};

/// Against the plain statement: `[batch, height, width, channels]`.
fn equals_its_reference(size: [usize; 4], kernel: usize, has_bias: bool) {
    let channels = size[3];
    let mut shapes: Vec<&[usize]> = vec![&size];
    let (weight, bias) = ([channels, 1, kernel, kernel], [channels]);
    shapes.push(&weight);
    if has_bias {
        shapes.push(&bias);
    }
    assert_parity(
        &Inputs::random((size[1] * size[2] + channels) as u64, &shapes),
        |leaves| {
            let bias = has_bias.then(|| leaves.get(2));
            depthwise_convolution(leaves.get(0), leaves.get(1), bias)
        },
        |leaves| {
            let bias = has_bias.then(|| leaves.get(2));
            depthwise_convolution_reference(leaves.get(0), leaves.get(1), bias)
        },
    );
}

#[test]
fn of_seven_by_tiles_of_every_width() {
    // Smaller than the kernel; one tile of every width; several; several bands and images.
    for [height, width] in [[1, 1], [2, 3], [5, 4], [7, 5], [6, 6], [7, 7], [9, 8]] {
        equals_its_reference([2, height, width, 8], 7, true);
    }
    for [height, width] in [[3, 9], [12, 13], [17, 20], [40, 33], [11, 119]] {
        equals_its_reference([3, height, width, 16], 7, true);
    }
}

#[test]
fn of_channels_that_fill_vectors_in_part() {
    for channels in [1, 3, 7, 9, 15, 17, 24, 40, 100] {
        equals_its_reference([2, 9, 11, channels], 7, true);
    }
}

#[test]
fn of_seven_without_a_bias() {
    equals_its_reference([2, 13, 10, 20], 7, false);
}

#[test]
fn of_other_kernels() {
    for kernel in [1, 3, 5, 9] {
        equals_its_reference([2, 12, 15, 6], kernel, true);
    }
}

#[test]
fn only_tracked_inputs_have_gradients() {
    assert_only_tracked_inputs_have_gradients(
        &Inputs::random(10, &[&[2, 8, 9, 12], &[12, 1, 7, 7], &[12]]),
        |leaves| depthwise_convolution(leaves.get(0), leaves.get(1), Some(leaves.get(2))),
    );
}
