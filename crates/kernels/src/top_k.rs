//! The largest numbers of rows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Int, Tensor, TensorData};

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// Returns the `count` largest values of every row in descending order, and their indices. Equal values are in
/// the order of their indices. NaN is larger than any number, and zeros differ by their sign (`f32::total_cmp`
/// except for the sign of NaN, which depends on the device). The results have no gradient.
///
/// # Shapes
///
/// - `x`: `[rows, columns]`
/// - outputs: `[rows, count]`
///
/// # Panics
///
/// If a row has fewer than `count` values.
pub fn top_k<B: KernelBackend>(x: Tensor<B, 2>, count: usize) -> (Tensor<B, 2>, Tensor<B, 2, Int>) {
    let columns = x.dims()[1];
    assert!(count <= columns, "{count} of rows of {columns}");
    let (values, places) = B::top_k(float(x), count);
    (tensor(values), Tensor::from_primitive(places))
}

/// Computes [`top_k`] in the host's memory.
pub(crate) fn forward<B: KernelBackend>(
    x: FloatTensor<B>,
    count: usize,
) -> (FloatTensor<B>, IntTensor<B>) {
    let x = tensor::<B, 2>(x);
    let ([rows, columns], device) = (x.dims(), x.device());
    let numbers: Vec<f32> = x.into_data().iter::<f32>().collect();
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for row in (0..rows).map(|row| &numbers[row * columns..][..columns]) {
        let best = largest(row, count);
        values.extend(best.iter().map(|place| row[*place]));
        places.extend(best.iter().map(|place| *place as i32));
    }
    let values = TensorData::new(values, [rows, count]);
    let places = TensorData::new(places, [rows, count]);
    let values = Tensor::<B, 2>::from_data(values, &device);
    let places = Tensor::<B, 2, Int>::from_data(places, &device);
    (float(values), places.into_primitive())
}

/// Returns the indices of the largest values of a row. In a long row nearly all values are rejected by one
/// comparison with the smallest of the best so far.
fn largest(row: &[f32], count: usize) -> Vec<usize> {
    // The order of `f32::total_cmp`, with NaN of either sign at its end.
    let key = |number: f32| {
        if number.is_nan() {
            return i32::MAX;
        }
        let bits = number.to_bits() as i32;
        bits ^ (((bits >> 31) as u32) >> 1) as i32
    };
    // The least first: of equals the last.
    let mut best = BinaryHeap::with_capacity(count + 1);
    for (place, number) in row.iter().enumerate() {
        let candidate = Reverse((key(*number), Reverse(place)));
        if best.len() < count {
            best.push(candidate);
        } else if best.peek().is_some_and(|least| candidate < *least) {
            best.pop();
            best.push(candidate);
        }
    }
    let best = best.into_sorted_vec().into_iter();
    best.map(|Reverse((_, Reverse(place)))| place).collect()
}
