//! Softmax, attention among all tokens and inside windows.

use burn::tensor::{Tensor, activation};
use gradway_kernels::{
    KernelBackend, Rotations, Windows, self_attention, self_attention_reference, softmax,
    window_attention, window_attention_reference,
};

use crate::harness::{Inputs, Tracked, assert_only_tracked_inputs_have_gradients, assert_parity};

#[test]
fn softmax_equals_its_plain_statement() {
    for columns in [2, 7, 8, 49] {
        let inputs = Inputs::random(90, &[&[3, 5, columns]]);
        assert_parity(
            &inputs,
            |leaves| softmax::<_, 3>(leaves.get(0)),
            |leaves| activation::softmax::<3, _>(leaves.get(0), 2),
        );
    }
}

#[test]
fn softmax_is_stable_for_large_inputs() {
    let inputs = Inputs::random(91, &[&[4, 13]]);
    assert_parity(
        &inputs,
        |leaves| softmax::<_, 2>(leaves.get::<2>(0) * 1e3),
        |leaves| activation::softmax::<2, _>(leaves.get::<2>(0) * 1e3, 1),
    );
}

/// Side of a window, shift, size of the map, order of padding, heads, channels of a head.
type Case = (usize, [usize; 2], [usize; 2], bool, usize, usize);

/// Windows of 2 to 7 on maps that are multiples of them or not, shifted or not, along one axis or both, in both orders of
/// padding; heads of 3 and 32 channels.
const CASES: [Case; 10] = [
    (2, [0, 0], [4, 6], false, 2, 3),
    (2, [1, 1], [4, 6], false, 2, 3),
    (3, [0, 0], [7, 5], false, 1, 8),
    (3, [1, 1], [7, 5], false, 2, 3),
    (3, [1, 1], [7, 5], true, 2, 3),
    (4, [2, 2], [9, 8], false, 3, 5),
    (7, [3, 3], [14, 16], false, 2, 32),
    (7, [3, 3], [8, 15], true, 1, 32),
    (3, [0, 1], [3, 8], false, 2, 3),
    (4, [2, 0], [9, 3], true, 2, 5),
];

fn case(
    (side, shift, size, pad_first, heads, head): (
        usize,
        [usize; 2],
        [usize; 2],
        bool,
        usize,
        usize,
    ),
) -> (Windows, Inputs) {
    let windows = Windows {
        side,
        shift,
        size,
        pad_first,
    };
    let [height, width] = windows.padded();
    let offsets = (2 * side - 1) * (2 * side - 1);
    let qkv = [2, height, width, 3 * heads * head];
    (windows, Inputs::random(92, &[&qkv, &[offsets, heads]]))
}

#[test]
fn window_attention_equals_its_plain_statement() {
    for parameters in CASES {
        let (windows, inputs) = case(parameters);
        assert_parity(
            &inputs,
            |leaves| window_attention(leaves.get(0), leaves.get(1), windows),
            |leaves| window_attention_reference(leaves.get(0), leaves.get(1), windows),
        );
    }
}

#[test]
fn window_attention_gives_untracked_parents_no_gradient() {
    let (windows, inputs) = case(CASES[3]);
    assert_only_tracked_inputs_have_gradients(&inputs, |leaves| {
        window_attention(leaves.get(0), leaves.get(1), windows)
    });
}

/// Tokens, heads, channels of a head, and whether there are rotations: fewer tokens than a task takes at once, more,
/// and so many that a task takes the fewest.
const TOKENS: [(usize, usize, usize, bool); 6] = [
    (1, 1, 4, false),
    (7, 2, 6, true),
    (50, 3, 8, false),
    (197, 1, 64, true),
    (257, 2, 32, false),
    (1370, 1, 16, true),
];

fn rotations<B: KernelBackend>(is_rotated: bool, angles: Tensor<B, 2>) -> Option<Rotations<B>> {
    is_rotated.then(|| Rotations {
        cosines: angles.clone().cos(),
        sines: angles.sin(),
    })
}

#[test]
fn attention_equals_its_plain_statement() {
    for (tokens, heads, head, is_rotated) in TOKENS {
        // The angles are constants: only queries, keys and values have a gradient.
        let angles = Inputs::random(95, &[&[tokens, head / 2]]);
        let angles = || rotations(is_rotated, angles.tensor::<Tracked, 2>(0));
        let qkv = Inputs::random(96, &[&[2, tokens, 3 * heads * head]]);
        assert_parity(
            &qkv,
            |leaves| self_attention(leaves.get(0), heads, angles()),
            |leaves| self_attention_reference(leaves.get(0), heads, angles()),
        );
    }
}
