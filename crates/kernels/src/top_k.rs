//! The largest numbers of rows.

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Int, Tensor, TensorData};

use crate::KernelBackend;
use crate::layer_norm::{float, tensor};

/// The `count` largest numbers of every row, the largest first, and their places; equals in the order of their
/// places. NaN is larger than everything (`f32::total_cmp`). Nothing is differentiated.
///
/// # Shapes
///
/// - `x`: `[rows, columns]`
/// - outputs: `[rows, count]`
///
/// # Panics
///
/// If a row has fewer than `count` numbers.
pub fn top_k<B: KernelBackend>(x: Tensor<B, 2>, count: usize) -> (Tensor<B, 2>, Tensor<B, 2, Int>) {
    let columns = x.dims()[1];
    assert!(count <= columns, "{count} of rows of {columns}");
    let (values, places) = B::top_k(float(x), count);
    (tensor(values), Tensor::from_primitive(places))
}

/// Of rows in the host's memory.
pub(crate) fn forward<B: KernelBackend>(
    x: FloatTensor<B>,
    count: usize,
) -> (FloatTensor<B>, IntTensor<B>) {
    let x = tensor::<B, 2>(x);
    let ([rows, columns], device) = (x.dims(), x.device());
    let numbers: Vec<f32> = x.into_data().iter::<f32>().collect();
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for row in (0..rows).map(|row| &numbers[row * columns..][..columns]) {
        let mut order: Vec<usize> = (0..columns).collect();
        let larger = |a: &usize, b: &usize| row[*b].total_cmp(&row[*a]).then(a.cmp(b));
        if count < columns {
            order.select_nth_unstable_by(count, larger);
            order.truncate(count);
        }
        order.sort_unstable_by(larger);
        values.extend(order.iter().map(|place| row[*place]));
        places.extend(order.iter().map(|place| *place as i32));
    }
    let values = TensorData::new(values, [rows, count]);
    let places = TensorData::new(places, [rows, count]);
    let values = Tensor::<B, 2>::from_data(values, &device);
    let places = Tensor::<B, 2, Int>::from_data(places, &device);
    (float(values), places.into_primitive())
}
