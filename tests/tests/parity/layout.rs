//! Channels first and last, stated as a permutation.

use burn::tensor::Tensor;
use gradway_kernels::{ChannelAxis, channels_first, channels_last};

use crate::harness::{Inputs, Tracked, assert_parity};

#[test]
fn channels_move_as_a_permutation_moves_them() {
    let inputs = Inputs::random(60, &[&[3, 5, 7, 4], &[3, 5, 7, 4]]);
    // A product, so that the gradient's layout is not the values'.
    assert_parity(
        &inputs,
        |leaves| {
            let last = channels_last(leaves.get(0), ChannelAxis::First);
            channels_first(
                last * leaves.get::<4>(1).permute([0, 2, 3, 1]),
                ChannelAxis::Last,
            )
        },
        |leaves| leaves.get::<4>(0) * leaves.get::<4>(1),
    );
    let inputs = Inputs::random(62, &[&[3, 5, 7, 4]]);
    assert_parity(
        &inputs,
        |leaves| channels_first(leaves.get(0), ChannelAxis::Last),
        |leaves| leaves.get::<4>(0).permute([0, 3, 1, 2]),
    );
}

#[test]
fn a_map_that_is_laid_out_so_stays() {
    let inputs = Inputs::random(61, &[&[2, 3, 4, 5]]);
    let x: Tensor<Tracked, 4> = inputs.tensor(0);
    let first = channels_first(x.clone(), ChannelAxis::First);
    let last = channels_last(x.clone(), ChannelAxis::Last);
    assert_eq!(first.into_data(), x.clone().into_data());
    assert_eq!(last.into_data(), x.into_data());
}
