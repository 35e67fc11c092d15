//! The class of the largest logit, one unit per position.

use burn::tensor::{DType, TensorMetadata};
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

use super::launch::{dense, elementwise, empty_of};
use super::nan::is_nan;

#[cube(launch_unchecked)]
fn most_likely_kernel(logits: &Array<f32>, found: &mut Array<i32>, classes: usize, inner: usize) {
    if ABSOLUTE_POS >= found.len() {
        terminate!();
    }
    let first = ABSOLUTE_POS / inner * classes * inner + ABSOLUTE_POS % inner;
    let mut best = f32::min_value();
    let mut class = 0i32;
    for other in 0..classes {
        let logit = logits[first + other * inner];
        // NaN is the largest, and the first NaN stays.
        if !is_nan(best) && (is_nan(logit) || logit > best) {
            best = logit;
            class = other as i32;
        }
    }
    found[ABSOLUTE_POS] = class;
}

/// The class of the largest logit of `[outer, classes, inner]`.
pub(super) fn forward<R: CubeRuntime>(logits: CubeTensor<R>) -> CubeTensor<R> {
    let [outer, classes, inner] = logits.shape().dims();
    let logits = dense(logits);
    let found = empty_of(&logits, [outer, inner], DType::I32);
    let client = logits.client.clone();
    let (count, dim) = elementwise(&client, outer * inner);
    // SAFETY: a unit has its own position, which it checks, and reads its classes alone.
    unsafe {
        most_likely_kernel::launch_unchecked(
            &client,
            count,
            dim,
            logits.into_array_arg(),
            found.clone().into_array_arg(),
            classes,
            inner,
        );
    }
    found
}
