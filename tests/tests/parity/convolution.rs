//! Convolution.

use gradway_kernels::{Activation, ConvolutionOptions, convolution, convolution_reference};

use crate::harness::{IS_CARD, Inputs, assert_only_tracked_inputs_have_gradients, assert_parity};

/// Against the plain statement: input `[2, inputs, height, width]`, "same" padding.
fn equals_its_reference(
    [inputs, outputs, groups]: [usize; 3],
    [height, width]: [usize; 2],
    [kernel, stride]: [usize; 2],
    activation: Activation,
) {
    // Where a map is rounded to TF32, what lies at a rectifier's kink may have the other slope.
    let activation = if IS_CARD {
        Activation::Identity
    } else {
        activation
    };
    let options = ConvolutionOptions::same([height, width], kernel, stride)
        .with_groups(groups)
        .with_activation(activation);
    assert_parity(
        &Inputs::random(
            (height * width + kernel) as u64,
            &[
                &[2, inputs, height, width],
                &[outputs, inputs / groups, kernel, kernel],
                &[outputs],
            ],
        ),
        |leaves| convolution(leaves.get(0), leaves.get(1), Some(leaves.get(2)), options),
        |leaves| convolution_reference(leaves.get(0), leaves.get(1), Some(leaves.get(2)), options),
    );
}

#[test]
fn depthwise_of_every_kernel_and_stride() {
    // Narrower than a tile, one tile, several bands; odd and even sides pad differently at stride 2.
    for size in [[3, 2], [4, 16], [17, 33], [90, 121], [64, 48]] {
        for kernel in [3, 5, 7] {
            for stride in [1, 2] {
                let channels = [6, 6, 6];
                equals_its_reference(channels, size, [kernel, stride], Activation::Relu6);
            }
        }
    }
}

#[test]
fn depthwise_of_other_kernels() {
    equals_its_reference([4, 4, 4], [20, 23], [9, 1], Activation::Identity);
    equals_its_reference([4, 4, 4], [20, 23], [3, 3], Activation::Relu);
    equals_its_reference([4, 8, 4], [20, 23], [3, 1], Activation::Relu);
}

#[test]
fn pointwise() {
    equals_its_reference([7, 13, 1], [9, 14], [1, 1], Activation::Relu6);
    equals_its_reference([40, 24, 1], [31, 29], [1, 1], Activation::Gelu);
}

#[test]
fn full() {
    equals_its_reference([3, 10, 1], [19, 22], [3, 2], Activation::Relu6);
    equals_its_reference([8, 5, 1], [12, 15], [3, 1], Activation::Relu);
    equals_its_reference([8, 4, 2], [12, 15], [3, 1], Activation::Identity);
}

#[test]
fn full_of_every_stride_and_more_than_one_block() {
    // Patches without overlap, kernels smaller than the stride, and lines wider than a block.
    equals_its_reference([3, 9, 1], [21, 30], [4, 4], Activation::Identity);
    equals_its_reference([12, 7, 1], [13, 18], [1, 2], Activation::Identity);
    equals_its_reference([5, 6, 1], [14, 17], [5, 3], Activation::Relu);
    equals_its_reference([13, 6, 1], [41, 67], [3, 1], Activation::Identity);
    equals_its_reference([2, 3, 1], [3, 1500], [3, 2], Activation::Identity);
}

#[test]
fn of_three_by_minimal_filtering() {
    // Tiles that reach over both edges, several groups of panels, tasks of several small images.
    for (size, channels) in [
        ([23, 31], [17, 16, 1]),
        ([40, 64], [64, 48, 1]),
        ([130, 9], [16, 20, 1]),
        ([16, 16], [200, 130, 1]),
    ] {
        equals_its_reference(channels, size, [3, 1], Activation::Relu);
    }
    let padded = |padding| ConvolutionOptions {
        stride: 1,
        padding,
        groups: 1,
        activation: Activation::Gelu,
    };
    // None, more than half the kernel, and not the same on both sides; many small images.
    let cases = [
        (3, [21, 30], [[0, 0], [0, 0]]),
        (2, [19, 27], [[2, 0], [1, 2]]),
        (13, [7, 7], [[1, 1], [1, 1]]),
    ];
    for (batch, [height, width], padding) in cases {
        let options = padded(padding);
        assert_parity(
            &Inputs::random(11, &[&[batch, 18, height, width], &[33, 18, 3, 3]]),
            |leaves| convolution(leaves.get(0), leaves.get(1), None, options),
            |leaves| convolution_reference(leaves.get(0), leaves.get(1), None, options),
        );
    }
}

#[test]
fn without_a_bias_and_with_padding_of_its_own() {
    let options = ConvolutionOptions {
        stride: 2,
        padding: [[1, 0], [0, 2]],
        groups: 5,
        activation: Activation::Relu,
    };
    assert_parity(
        &Inputs::random(9, &[&[3, 5, 14, 11], &[5, 1, 3, 3]]),
        |leaves| convolution(leaves.get(0), leaves.get(1), None, options),
        |leaves| convolution_reference(leaves.get(0), leaves.get(1), None, options),
    );
}

#[test]
fn only_tracked_inputs_have_gradients() {
    let options = ConvolutionOptions::same([8, 9], 3, 1)
        .with_groups(4)
        .with_activation(Activation::Relu6);
    assert_only_tracked_inputs_have_gradients(
        &Inputs::random(10, &[&[2, 4, 8, 9], &[4, 1, 3, 3], &[4]]),
        |leaves| convolution(leaves.get(0), leaves.get(1), Some(leaves.get(2)), options),
    );
}

#[test]
fn of_one_group_on_panels_that_cross_lines_and_images() {
    // Narrower than a panel, several blocks of panels, deeper than one product; strides 1, 2, 4.
    for size in [[5, 3], [7, 40], [33, 19], [12, 70]] {
        for (kernel, stride) in [(1, 2), (3, 1), (3, 2), (4, 4), (5, 1)] {
            equals_its_reference([5, 9, 1], size, [kernel, stride], Activation::Relu);
        }
    }
    equals_its_reference([70, 33, 1], [9, 21], [3, 1], Activation::Identity);
    equals_its_reference([3, 32, 1], [70, 90], [3, 2], Activation::Relu6);
}
