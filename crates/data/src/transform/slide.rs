//! Windows that slide over an image.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{check_edges, invalid};
use crate::error::DataError;

const CROP: &str = "evaluation.size.slide.crop";
const STRIDE: &str = "evaluation.size.slide.stride";

/// Windows of one size at regular steps, which together cover an image.
///
/// They are those of mmsegmentation's slide inference: the windows of the last row and column end at the border
/// of the image, however far they are from those before. Along a side that is shorter than a window, there is
/// one window as long as the side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlideConfig {
    /// Height and width of a window in pixels.
    #[serde(deserialize_with = "one_or_two")]
    pub crop: [u32; 2],
    /// Steps down and to the right in pixels.
    #[serde(deserialize_with = "one_or_two")]
    pub stride: [u32; 2],
    /// The long and the short edge that an image is first fitted into, keeping its shape; its own size if not
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_size: Option<[u32; 2]>,
}

/// A rectangle of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Row and column of its first pixel.
    pub start: [usize; 2],
    /// Height and width.
    pub size: [usize; 2],
}

impl Window {
    /// The whole of an image of this height and width.
    pub fn whole(size: [usize; 2]) -> Self {
        Self {
            start: [0, 0],
            size,
        }
    }
}

impl SlideConfig {
    /// Refuses windows that leave pixels out.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] with the key, its value and its range.
    pub fn validate(&self) -> Result<(), DataError> {
        check_edges(CROP, self.crop)?;
        check_edges(STRIDE, self.stride)?;
        if let Some(edges) = self.base_size {
            check_edges("evaluation.size.slide.base_size", edges)?;
        }
        let mut pairs = self.stride.iter().zip(self.crop);
        if pairs.any(|(&stride, crop)| stride > crop) {
            let expected = format!(
                "at most `crop`, {:?}: the pixels between two windows would not be predicted",
                self.crop
            );
            return Err(invalid(STRIDE, self.stride, expected));
        }
        Ok(())
    }

    /// Refuses windows smaller than a position of the network's coarsest map.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`].
    pub(crate) fn require_stride(&self, stride: usize) -> Result<(), DataError> {
        if self.crop.iter().all(|&side| side as usize >= stride) {
            return Ok(());
        }
        let expected = format!("at least {stride}, the stride of the coarsest map");
        Err(invalid(CROP, self.crop, expected))
    }

    /// The windows of an image of this height and width, row by row. All have the same size.
    pub fn windows(&self, size: [usize; 2]) -> Vec<Window> {
        let along = |axis: usize| {
            let [side, crop, stride] = [
                size[axis],
                self.crop[axis] as usize,
                (self.stride[axis] as usize).max(1),
            ];
            let length = crop.min(side);
            let last = side - length;
            let starts = (0..=last.div_ceil(stride)).map(move |index| (index * stride).min(last));
            (length, starts)
        };
        let ((height, rows), (width, columns)) = (along(0), along(1));
        let at = |(row, column)| Window {
            start: [row, column],
            size: [height, width],
        };
        rows.flat_map(|row| columns.clone().map(move |column| (row, column)))
            .map(at)
            .collect()
    }
}

/// Reads a length for both sides, or height and width.
fn one_or_two<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u32; 2], D::Error> {
    /// In serde's words.
    const LENGTH: &str = "an array of length 2";

    struct Sides;

    impl<'de> Visitor<'de> for Sides {
        type Value = [u32; 2];

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a whole number, or [height, width]")
        }

        fn visit_i64<E: Error>(self, side: i64) -> Result<[u32; 2], E> {
            let valid = u32::try_from(side).map(|side| [side; 2]);
            valid.map_err(|_| E::invalid_value(Unexpected::Signed(side), &self))
        }

        fn visit_u64<E: Error>(self, side: u64) -> Result<[u32; 2], E> {
            let valid = u32::try_from(side).map(|side| [side; 2]);
            valid.map_err(|_| E::invalid_value(Unexpected::Unsigned(side), &self))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, sides: A) -> Result<[u32; 2], A::Error> {
            let sides: Vec<u32> = Deserialize::deserialize(SeqAccessDeserializer::new(sides))?;
            let wrong = |sides: Vec<u32>| A::Error::invalid_length(sides.len(), &LENGTH);
            sides.try_into().map_err(wrong)
        }
    }

    deserializer.deserialize_any(Sides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slide(crop: [u32; 2], stride: [u32; 2]) -> SlideConfig {
        SlideConfig {
            crop,
            stride,
            base_size: None,
        }
    }

    /// Where windows start along the sides of an image of `size`, and their size.
    fn starts(slide: SlideConfig, size: [usize; 2]) -> ([Vec<usize>; 2], [usize; 2]) {
        let windows = slide.windows(size);
        let along = |axis: usize| {
            let mut starts: Vec<usize> = windows.iter().map(|window| window.start[axis]).collect();
            starts.sort_unstable();
            starts.dedup();
            starts
        };
        let [rows, columns] = [0, 1].map(along);
        let expected = rows
            .iter()
            .flat_map(|&row| columns.iter().map(move |&column| [row, column]));
        let found: Vec<[usize; 2]> = windows.iter().map(|window| window.start).collect();
        assert_eq!(found, expected.collect::<Vec<_>>(), "row by row, each once");
        let sizes: Vec<[usize; 2]> = windows.iter().map(|window| window.size).collect();
        assert!(sizes.iter().all(|&size| size == sizes[0]));
        ([rows, columns], sizes[0])
    }

    /// As mmsegmentation has them, by hand.
    #[test]
    fn the_last_windows_end_at_the_border() {
        let ade = slide([512; 2], [341; 2]);
        let cases = [
            // Exactly one, one pixel more, and both steps in full.
            ([512, 512], [vec![0], vec![0]]),
            ([512, 513], [vec![0], vec![0, 1]]),
            ([853, 854], [vec![0, 341], vec![0, 341, 342]]),
            // A photo of ADE20K at a short edge of 512.
            ([512, 683], [vec![0], vec![0, 171]]),
            // Cityscapes.
            (
                [1024, 2048],
                [vec![0, 341, 512], vec![0, 341, 682, 1023, 1364, 1536]],
            ),
        ];
        for (size, expected) in cases {
            assert_eq!(starts(ade, size), (expected, [512; 2]), "{size:?}");
        }
        // Windows that do not overlap.
        let (tiles, size) = starts(slide([4, 6], [4, 6]), [12, 13]);
        assert_eq!((tiles, size), ([vec![0, 4, 8], vec![0, 6, 7]], [4, 6]));
    }

    #[test]
    fn a_window_is_no_longer_than_its_image() {
        let ade = slide([512; 2], [341; 2]);
        assert_eq!(
            starts(ade, [255, 383]),
            ([vec![0], vec![0]], [255, 383]),
            "smaller along both sides"
        );
        assert_eq!(
            starts(ade, [300, 900]),
            ([vec![0], vec![0, 341, 388]], [300, 512]),
            "smaller along one"
        );
        assert_eq!(ade.windows([255, 383]), [Window::whole([255, 383])]);
    }

    #[test]
    fn every_pixel_is_in_a_window() {
        for side in 1..40 {
            for crop in 1..12 {
                for stride in 1..=crop {
                    let windows = slide([crop, 1], [stride, 1]).windows([side, 1]);
                    let mut covered = vec![false; side];
                    for window in &windows {
                        let [start, length] = [window.start[0], window.size[0]];
                        covered[start..start + length].fill(true);
                    }
                    assert!(covered.iter().all(|&is_covered| is_covered));
                }
            }
        }
    }

    #[test]
    fn windows_that_leave_pixels_out_are_refused() {
        assert!(slide([512; 2], [512; 2]).validate().is_ok());
        for (slide, expected) in [
            (
                slide([512; 2], [512, 600]),
                "`evaluation.size.slide.stride` = [512, 600]: expected at most `crop`, [512, 512]",
            ),
            (
                slide([512; 2], [0, 341]),
                "`evaluation.size.slide.stride` = [0, 341]: expected two lengths in pixels, from 1",
            ),
            (
                slide([0, 512], [341; 2]),
                "`evaluation.size.slide.crop` = [0, 512]: expected two lengths in pixels, from 1",
            ),
            (
                SlideConfig {
                    base_size: Some([2048, 0]),
                    ..slide([512; 2], [341; 2])
                },
                "`evaluation.size.slide.base_size` = [2048, 0]",
            ),
        ] {
            let error = slide.validate().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(slide([32, 64], [32; 2]).require_stride(32).is_ok());
        let error = slide([31, 64], [16; 2]).require_stride(32).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`evaluation.size.slide.crop` = [31, 64]: expected at least 32, the stride of the coarsest map"
        );
    }
}
