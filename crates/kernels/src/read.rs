//! Reading tensors from a device.

use std::cell::Cell;

use burn::tensor::backend::Backend;
use burn::tensor::{BasicOps, Tensor, TensorData};

thread_local! {
    static READS: Cell<usize> = const { Cell::new(0) };
}

/// Returns the values of a tensor. The host waits until the device has finished all work sent to it. [`reads`]
/// counts these calls.
pub fn read<B: Backend, const D: usize, K: BasicOps<B>>(x: Tensor<B, D, K>) -> TensorData {
    READS.set(READS.get() + 1);
    x.into_data()
}

/// Returns how often this thread has called [`read`].
pub fn reads() -> usize {
    READS.get()
}
