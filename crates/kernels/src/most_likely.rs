//! The class of the largest logit.

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Int, Tensor, TensorData};

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// Returns the class of the largest logit of every position, the first one of equal logits. NaN is larger than
/// any number. Only the classes have to be copied from the device, not the logits. The result has no gradient.
///
/// # Shapes
///
/// - `logits`: `[batch, classes, height, width]`
/// - output: `[batch, height, width]`
pub fn most_likely<B: KernelBackend>(logits: Tensor<B, 4>) -> Tensor<B, 3, Int> {
    let [batch, classes, height, width] = logits.dims();
    let logits = logits.reshape([batch, classes, height * width]);
    let found = Tensor::<B, 2, Int>::from_primitive(B::most_likely(float(logits)));
    found.reshape([batch, height, width])
}

/// Computes [`most_likely`] of `[outer, classes, inner]` in the host's memory.
pub(crate) fn forward<B: KernelBackend>(logits: FloatTensor<B>) -> IntTensor<B> {
    let logits = tensor::<B, 3>(logits);
    let ([outer, classes, inner], device) = (logits.dims(), logits.device());
    let numbers: Vec<f32> = logits.into_data().iter::<f32>().collect();
    let mut found = vec![0i32; outer * inner];
    for (outer, found) in found.chunks_exact_mut(inner.max(1)).enumerate() {
        let planes = &numbers[outer * classes * inner..][..classes * inner];
        let mut best = vec![f32::NEG_INFINITY; inner];
        for (class, plane) in planes.chunks_exact(inner).enumerate() {
            for ((value, best), found) in plane.iter().zip(&mut best).zip(&mut *found) {
                if value > best || (value.is_nan() && !best.is_nan()) {
                    *best = *value;
                    *found = class as i32;
                }
            }
        }
    }
    let found = TensorData::new(found, [outer, inner]);
    Tensor::<B, 2, Int>::from_data(found, &device).into_primitive()
}
