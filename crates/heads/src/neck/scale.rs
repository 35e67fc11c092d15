//! The scales of a pyramid that is made of maps of one stride.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, gelu};

use crate::enlarging::Enlarging;
use crate::maps::listed;

/// The scales that there are: a position becomes sixteen, four, or stays, or four become one.
const KNOWN: [f32; 4] = [4.0, 2.0, 1.0, 0.5];

/// The usual scales, the finest first.
pub(super) fn usual() -> Vec<f32> {
    KNOWN.to_vec()
}

/// Checks scales, the finest first.
pub(super) fn validate(scales: &[f32]) -> Result<(), String> {
    let is_known = scales.iter().all(|scale| KNOWN.contains(scale));
    let descends = scales.windows(2).all(|pair| pair[0] > pair[1]);
    match is_known && descends && !scales.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "neck.scales = [{}]; it must have some of {}, in this order",
            listed(scales.iter().copied()),
            listed(KNOWN)
        )),
    }
}

/// How often a map of this scale is doubled.
pub(super) fn doublings(scale: f32) -> usize {
    KNOWN[..2].iter().filter(|known| **known <= scale).count()
}

/// Whether a map of this scale is halved.
pub(super) fn halves(scale: f32) -> bool {
    scale < 1.0
}

/// Transposed convolutions that double a map of these channels, one after the other; `widths` are those of
/// their outputs.
pub(super) fn enlargings<B: Backend>(
    channels: usize,
    widths: &[usize],
    device: &B::Device,
) -> Vec<Enlarging<B>> {
    let inputs = std::iter::once(&channels).chain(widths);
    let pairs = inputs.zip(widths);
    pairs
        .map(|(&input, &output)| Enlarging::uniform([input, output], 2, device))
        .collect()
}

/// Doubles a map once for each convolution, with a norm and a GELU between two of them.
pub(super) fn enlarge<B: KernelBackend>(
    x: Tensor<B, 4>,
    enlargings: &[Enlarging<B>],
    norm: impl Fn(Tensor<B, 4>) -> Tensor<B, 4>,
) -> Tensor<B, 4> {
    let enlargings = enlargings.iter().enumerate();
    enlargings.fold(x, |x, (index, enlarging)| match index {
        0 => enlarging.forward(x),
        _ => enlarging.forward(gelu(norm(x))),
    })
}

/// Max pooling of squares of two positions by two (PyTorch's `max_pool2d(x, 2, ceil_mode=True)`): where a side
/// is odd, its last position is pooled alone, so that the map covers the whole image.
///
/// Burn's own passes over NaN. The gradient goes to the first of equal values, as in PyTorch.
pub(super) fn halve<B: KernelBackend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let x = even(x, 3);
    let [batch, channels, height, width] = x.dims();
    let pairs = x.reshape([batch * channels * height, width / 2, 2]);
    let x = larger(pairs, 2).reshape([batch, channels, height, width / 2]);
    let x = even(x, 2);
    let [_, _, height, width] = x.dims();
    let pairs = x.reshape([batch * channels * height / 2, 2, width]);
    larger(pairs, 1).reshape([batch, channels, height / 2, width])
}

/// Repeats the last position of an axis with an odd number of them.
fn even<B: KernelBackend>(x: Tensor<B, 4>, axis: usize) -> Tensor<B, 4> {
    let side = x.dims()[axis];
    if side.is_multiple_of(2) {
        return x;
    }
    let last = x.clone().narrow(axis, side - 1, 1);
    Tensor::cat(vec![x, last], axis)
}

/// The larger of the two entries of an axis; NaN if one of them is.
fn larger<B: KernelBackend>(pairs: Tensor<B, 3>, axis: usize) -> Tensor<B, 3> {
    let (first, second) = (pairs.clone().narrow(axis, 0, 1), pairs.narrow(axis, 1, 1));
    let is_first = first.clone().greater_equal(second.clone());
    let is_first = is_first.bool_or(first.clone().is_nan());
    second.mask_where(is_first, first)
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::TensorData;

    use super::*;

    fn halved(values: &[f32], [height, width]: [usize; 2]) -> Vec<f32> {
        let data = TensorData::new(values.to_vec(), [1, 1, height, width]);
        let x = Tensor::<Flex, 4>::from_data(data, &Default::default());
        halve(x).into_data().to_vec().unwrap()
    }

    #[test]
    fn squares_are_pooled_and_what_is_left_over_alone() {
        let values = [1.0, 5.0, -3.0, 2.0, 0.0, -4.0, -7.0, -9.0, -1.0];
        assert_eq!(halved(&values, [3, 3]), [5.0, -3.0, -7.0, -1.0]);
        assert_eq!(halved(&values[..4], [2, 2]), [5.0]);
    }

    #[test]
    fn a_value_that_is_no_number_is_not_lost() {
        for place in 0..4 {
            let mut values = [1.0, 2.0, 3.0, 4.0];
            values[place] = f32::NAN;
            assert!(halved(&values, [2, 2])[0].is_nan(), "{place}");
        }
    }

    #[test]
    fn scales_are_checked() {
        assert_eq!(validate(&usual()), Ok(()));
        assert_eq!(validate(&[2.0, 0.5]), Ok(()));
        for wrong in [&[][..], &[4.0, 3.0], &[1.0, 2.0], &[2.0, 2.0], &[f32::NAN]] {
            assert!(validate(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!([4.0, 2.0, 1.0, 0.5].map(doublings), [2, 1, 0, 0]);
    }
}
