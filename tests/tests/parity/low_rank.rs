//! The dual low-rank bottleneck.

use burn::tensor::Tensor;
use gradway_kernels::{ChannelAxis, LowRankWeights, low_rank_adapter, low_rank_adapter_reference};

use crate::harness::{
    Inputs, Leaves, Tracked, assert_only_tracked_inputs_have_gradients, assert_parity,
};

/// Channels 6, rank 4, middle 3: all different, so that an exchange of two cannot pass.
fn inputs(axis: ChannelAxis) -> Inputs {
    let z: &[usize] = match axis {
        ChannelAxis::Last => &[3, 5, 7, 6],
        ChannelAxis::First => &[3, 6, 5, 7],
    };
    Inputs::random(10, &[z, &[6, 4], &[4, 3], &[3], &[3, 4], &[4, 6], &[6]])
}

pub fn weights(leaves: &Leaves) -> LowRankWeights<Tracked> {
    LowRankWeights {
        down_in: leaves.get(1),
        down_out: leaves.get(2),
        down_bias: leaves.get(3),
        up_in: leaves.get(4),
        up_out: leaves.get(5),
        up_bias: leaves.get(6),
    }
}

fn operator(axis: ChannelAxis) -> impl Fn(&Leaves) -> Tensor<Tracked, 4> {
    move |leaves| low_rank_adapter(leaves.get(0), weights(leaves), axis)
}

fn equals_its_reference(axis: ChannelAxis) {
    assert_parity(&inputs(axis), operator(axis), |leaves| {
        low_rank_adapter_reference(leaves.get(0), weights(leaves), axis)
    });
}

#[test]
fn low_rank_adapter_with_channels_last_equals_its_reference() {
    equals_its_reference(ChannelAxis::Last);
}

#[test]
fn low_rank_adapter_with_channels_first_equals_its_reference() {
    equals_its_reference(ChannelAxis::First);
}

#[test]
fn low_rank_adapter_of_several_shares_equals_its_reference() {
    // More positions than a task takes at once, and than there are shares of them.
    for (axis, z) in [
        (ChannelAxis::Last, [3, 29, 31, 6]),
        (ChannelAxis::First, [3, 6, 29, 31]),
    ] {
        let inputs = Inputs::random(11, &[&z, &[6, 4], &[4, 3], &[3], &[3, 4], &[4, 6], &[6]]);
        assert_parity(&inputs, operator(axis), |leaves| {
            low_rank_adapter_reference(leaves.get(0), weights(leaves), axis)
        });
    }
}

#[test]
fn low_rank_adapter_gives_untracked_parents_no_gradient() {
    for axis in [ChannelAxis::Last, ChannelAxis::First] {
        assert_only_tracked_inputs_have_gradients(&inputs(axis), operator(axis));
    }
}
