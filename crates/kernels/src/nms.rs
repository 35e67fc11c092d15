//! Non-maximum suppression.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorData};

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// Returns 1 for every box that is kept and 0 for the others. A box is kept if its IoU with every kept box
/// before it in its group is at most `threshold`. A box with a NaN is kept and suppresses nothing. The result has no
/// gradient.
///
/// # Shapes
///
/// - `bounds`: `[groups, boxes, 4]`, left, top, right, bottom; sorted by descending score in every group
/// - output: `[groups, boxes]`
pub fn nms<B: KernelBackend>(bounds: Tensor<B, 3>, threshold: f32) -> Tensor<B, 2> {
    tensor(B::nms(float(bounds), threshold))
}

/// [`nms`] of one group in the host's memory: whether each box is kept.
pub fn unsuppressed(bounds: &[[f32; 4]], threshold: f32) -> Vec<bool> {
    // A list for each side, so that the loop below is one of vectors.
    let side = |side: usize| -> Vec<f32> { bounds.iter().map(|bounds| bounds[side]).collect() };
    let [left, top, right, bottom] = [0, 1, 2, 3].map(side);
    // Not `max`, which would drop NaN.
    let length = |begin: f32, end: f32| if end < begin { 0.0 } else { end - begin };
    let area =
        |[left, top, right, bottom]: &[f32; 4]| length(*left, *right) * length(*top, *bottom);
    let areas: Vec<f32> = bounds.iter().map(area).collect();
    let mut is_kept = vec![true; bounds.len()];
    for (place, [own_left, own_top, own_right, own_bottom]) in bounds.iter().enumerate() {
        if !is_kept[place] {
            continue;
        }
        let own_area = areas[place];
        let rest = place + 1..bounds.len();
        let sides = [&left, &top, &right, &bottom, &areas].map(|side| &side[rest.clone()]);
        let [left, top, right, bottom, areas] = sides;
        for (other, is_kept) in is_kept[rest].iter_mut().enumerate() {
            let width = (own_right.min(right[other]) - own_left.max(left[other])).max(0.0);
            let height = (own_bottom.min(bottom[other]) - own_top.max(top[other])).max(0.0);
            let shared = width * height;
            // Of no area, or with a NaN: not a number, which is not more.
            let is_more = shared / (own_area + areas[other] - shared) > threshold;
            *is_kept &= !is_more;
        }
    }
    is_kept
}

/// Computes [`nms`] in the host's memory.
pub(crate) fn forward<B: KernelBackend>(bounds: FloatTensor<B>, threshold: f32) -> FloatTensor<B> {
    let bounds = tensor::<B, 3>(bounds);
    let ([groups, count, _], device) = (bounds.dims(), bounds.device());
    let bounds: Vec<f32> = bounds.into_data().iter::<f32>().collect();
    let (bounds, _) = bounds.as_chunks::<4>();
    let kept =
        (0..groups).flat_map(|group| unsuppressed(&bounds[group * count..][..count], threshold));
    let kept: Vec<f32> = kept.map(|kept| f32::from(u8::from(kept))).collect();
    float(Tensor::<B, 2>::from_data(
        TensorData::new(kept, [groups, count]),
        &device,
    ))
}
