//! Encoding of boxes as offsets from reference boxes.

use burn::tensor::{Tensor, TensorData};
use gradway_kernels::{KernelBackend, clamp_max};

use super::bounds::Bounds;

/// Maximum logarithm of a change of side, `ln(1000 / 16)`, as in other libraries.
const LARGEST: f32 = 4.135_166_6;

/// Encodes the offset of the centre relative to the reference's sides, and the logarithms of the changes of the
/// sides, divided by deviations (Girshick et al. 2014, arXiv 1311.2524, appendix C).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxCoder {
    /// Divisors of the four offsets: x, y, width, height.
    pub deviations: [f32; 4],
}

impl BoxCoder {
    /// A coder without deviations, for anchors.
    pub const PLAIN: Self = Self {
        deviations: [1.0; 4],
    };

    /// Returns the offsets of `bounds` from `reference`.
    ///
    /// Sides are clamped to at least a thousandth of a pixel, so that the logarithms are finite.
    pub fn encode(&self, bounds: Bounds, reference: Bounds) -> [f32; 4] {
        let ([x, y, width, height], [of_x, of_y, of_width, of_height]) =
            (centred(bounds), centred(reference));
        let [by_x, by_y, by_width, by_height] = self.deviations;
        [
            (x - of_x) / of_width / by_x,
            (y - of_y) / of_height / by_y,
            (width / of_width).ln() / by_width,
            (height / of_height).ln() / by_height,
        ]
    }

    /// Returns the box at these offsets from `reference`.
    pub fn decode(&self, offsets: [f32; 4], reference: Bounds) -> Bounds {
        let [of_x, of_y, of_width, of_height] = centred(reference);
        let mut offsets = offsets;
        for (offset, deviation) in offsets.iter_mut().zip(self.deviations) {
            *offset *= deviation;
        }
        let (x, y) = (of_x + offsets[0] * of_width, of_y + offsets[1] * of_height);
        let width = of_width * offsets[2].min(LARGEST).exp();
        let height = of_height * offsets[3].min(LARGEST).exp();
        [
            x - width / 2.0,
            y - height / 2.0,
            x + width / 2.0,
            y + height / 2.0,
        ]
    }

    /// As [`decode`](Self::decode), with gradients.
    ///
    /// # Shapes
    ///
    /// - `offsets`, output: `[references, 4]`
    pub fn decode_each<B: KernelBackend>(
        &self,
        offsets: Tensor<B, 2>,
        references: &[Bounds],
    ) -> Tensor<B, 2> {
        let device = offsets.device();
        let count = references.len();
        let (centres, sides): (Vec<[f32; 2]>, Vec<[f32; 2]>) = references
            .iter()
            .map(|reference| {
                let [x, y, width, height] = centred(*reference);
                ([x, y], [width, height])
            })
            .unzip();
        let constant = |values: Vec<[f32; 2]>| {
            let values = TensorData::new(values.into_flattened(), [count, 2]);
            Tensor::<B, 2>::from_data(values, &device)
        };
        self.decode_about(offsets, constant(centres), constant(sides))
    }

    /// As [`decode_each`](Self::decode_each), for references with these centres and sides, `[references, 2]`.
    pub fn decode_about<B: KernelBackend>(
        &self,
        offsets: Tensor<B, 2>,
        centres: Tensor<B, 2>,
        sides: Tensor<B, 2>,
    ) -> Tensor<B, 2> {
        let deviations = Tensor::<B, 1>::from_floats(self.deviations, &offsets.device());
        let offsets = offsets * deviations.unsqueeze();
        let moved = centres + offsets.clone().narrow(1, 0, 2) * sides.clone();
        let half = clamp_max(offsets.narrow(1, 2, 2), LARGEST).exp() * sides * 0.5;
        Tensor::cat(vec![moved.clone() - half.clone(), moved + half], 1)
    }
}

/// The centre and sides of a box.
fn centred([left, top, right, bottom]: Bounds) -> [f32; 4] {
    let (width, height) = ((right - left).max(1e-3), (bottom - top).max(1e-3));
    [(left + right) / 2.0, (top + bottom) / 2.0, width, height]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODER: BoxCoder = BoxCoder {
        deviations: [0.1, 0.1, 0.2, 0.2],
    };

    #[test]
    fn offsets_counted_by_hand() {
        // From a square of 10 about (5, 5) to one of 20 x 10 about (15, 10).
        let offsets = CODER.encode([5.0, 5.0, 25.0, 15.0], [0.0, 0.0, 10.0, 10.0]);
        let expected = [10.0, 5.0, 2f32.ln() / 0.2, 0.0];
        for (offset, expected) in offsets.into_iter().zip(expected) {
            assert!((offset - expected).abs() < 1e-5, "{offsets:?}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let reference = [3.0, -2.0, 11.5, 20.0];
        for bounds in [[0.0, 0.0, 7.0, 90.0], [-4.0, 2.0, -3.5, 2.25]] {
            let decoded = CODER.decode(CODER.encode(bounds, reference), reference);
            for (value, expected) in decoded.into_iter().zip(bounds) {
                assert!((value - expected).abs() < 1e-4, "{decoded:?}");
            }
        }
    }

    #[test]
    fn growth_is_bounded_and_no_area_is_finite() {
        let [left, _, right, _] =
            BoxCoder::PLAIN.decode([0.0, 0.0, 99.0, 0.0], [0.0, 0.0, 16.0, 16.0]);
        assert!((right - left - 1000.0).abs() < 0.01);
        let offsets = CODER.encode([1.0, 1.0, 1.0, 1.0], [4.0, 4.0, 4.0, 9.0]);
        assert!(offsets.iter().all(|offset| offset.is_finite()));
    }
}
