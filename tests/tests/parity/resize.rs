//! Bilinear resizing, stated as a product with one interpolation matrix per axis.

use burn::tensor::{Tensor, TensorData};
use gradway_kernels::{
    add_nearest, add_nearest_reference, resize_bilinear, resize_bilinear_aligned,
};

use crate::harness::{Inputs, Tracked, assert_parity};

/// `[new, old]`: half-pixel centres, positions outside clamped to the border.
fn interpolation(old: usize, new: usize) -> Tensor<Tracked, 4> {
    matrix(old, new, |row| {
        ((row + 0.5) * old as f64 / new as f64 - 0.5).max(0.0)
    })
}

/// `[new, old]`: the corners are the same positions; a single one is the first of the old ones.
fn aligned(old: usize, new: usize) -> Tensor<Tracked, 4> {
    let steps = if new > 1 { new - 1 } else { 1 };
    matrix(old, new, |row| row * (old - 1) as f64 / steps as f64)
}

/// `[new, old]` of the place that every new position has among the old ones.
fn matrix(old: usize, new: usize, place: impl Fn(f64) -> f64) -> Tensor<Tracked, 4> {
    let mut weights = vec![0.0f32; new * old];
    for row in 0..new {
        let position = place(row as f64);
        let below = position.floor() as usize;
        let above = (below + 1).min(old - 1);
        let fraction = position - position.floor();
        weights[row * old + below] += (1.0 - fraction) as f32;
        weights[row * old + above] += fraction as f32;
    }
    let weights = TensorData::new(weights, [1, 1, new, old]);
    Tensor::from_data(weights, &Default::default())
}

#[test]
fn resizing_with_aligned_corners_equals_its_plain_statement() {
    for (old, new) in [
        ([5, 7], [11, 17]),
        ([11, 17], [5, 7]),
        ([1, 6], [4, 1]),
        ([3, 3], [3, 9]),
    ] {
        let inputs = Inputs::random(42, &[&[3, 5, old[0], old[1]]]);
        assert_parity(
            &inputs,
            |leaves| resize_bilinear_aligned(leaves.get(0), new),
            |leaves| {
                let rows = aligned(old[0], new[0]).matmul(leaves.get(0));
                rows.matmul(aligned(old[1], new[1]).swap_dims(2, 3))
            },
        );
    }
}

fn equals_its_plain_statement(old: [usize; 2], new: [usize; 2]) {
    let inputs = Inputs::random(40, &[&[3, 5, old[0], old[1]]]);
    assert_parity(
        &inputs,
        |leaves| resize_bilinear(leaves.get(0), new),
        |leaves| {
            let rows = interpolation(old[0], new[0]).matmul(leaves.get(0));
            rows.matmul(interpolation(old[1], new[1]).swap_dims(2, 3))
        },
    );
}

#[test]
fn upsampling_equals_its_plain_statement() {
    equals_its_plain_statement([5, 7], [11, 17]);
}

#[test]
fn downsampling_equals_its_plain_statement() {
    equals_its_plain_statement([11, 17], [5, 7]);
}

#[test]
fn resizing_axes_in_opposite_directions_equals_its_plain_statement() {
    equals_its_plain_statement([3, 13], [9, 5]);
}

#[test]
fn resizing_to_the_same_size_changes_nothing() {
    equals_its_plain_statement([5, 7], [5, 7]);
}

#[test]
fn a_single_position_fills_the_map() {
    equals_its_plain_statement([1, 1], [4, 3]);
}

#[test]
fn a_coarse_map_on_a_fine_one_equals_its_reference() {
    for (coarse, fine) in [([4, 5], [8, 10]), ([4, 5], [7, 9]), ([3, 1], [3, 6])] {
        let shapes: [&[usize]; 2] = [&[2, 3, fine[0], fine[1]], &[2, 3, coarse[0], coarse[1]]];
        assert_parity(
            &Inputs::random(41, &shapes),
            |leaves| add_nearest(leaves.get(0), leaves.get(1)),
            |leaves| add_nearest_reference(leaves.get(0), leaves.get(1)),
        );
    }
}
