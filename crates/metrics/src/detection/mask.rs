//! Run-length encoded masks, as in COCO.

use hotcoco::Rle;
use hotcoco::mask as codec;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::error::DetectionError;

/// A run-length encoded binary mask. Runs go down the columns, one column after the other, and start with background.
///
/// As JSON it is COCO's compressed form, `{"size": [height, width], "counts": "..."}`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunLengths(Rle);

impl RunLengths {
    /// Creates a mask from run lengths: `counts` pixels of background, object, background, and so on.
    ///
    /// # Errors
    /// If the runs do not add up to the size.
    pub fn new(width: u32, height: u32, counts: Vec<u32>) -> Result<Self, DetectionError> {
        let sum = counts.iter().map(|&count| u64::from(count)).sum();
        if sum == u64::from(width) * u64::from(height) {
            Ok(Self(Rle {
                h: height,
                w: width,
                counts,
            }))
        } else {
            Err(DetectionError::Runs { width, height, sum })
        }
    }

    /// Encodes `mask`, whose rows of `width` pixels follow one another as in an image.
    ///
    /// # Errors
    /// If the mask does not have the size.
    pub fn encode(mask: &[bool], width: u32, height: u32) -> Result<Self, DetectionError> {
        let (columns, rows) = (width as usize, height as usize);
        if columns.checked_mul(rows) != Some(mask.len()) {
            let sum = mask.len() as u64;
            return Err(DetectionError::Runs { width, height, sum });
        }
        let pixels = (0..columns).flat_map(|x| (0..rows).map(move |y| mask[y * columns + x]));
        let mut counts = vec![0];
        let mut value = false;
        for pixel in pixels {
            if pixel != value {
                counts.push(0);
                value = pixel;
            }
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
        }
        Self::new(width, height, counts)
    }

    /// Returns the mask, row by row.
    pub fn decode(&self) -> Vec<bool> {
        let (columns, rows) = (self.width() as usize, self.height() as usize);
        let pixels = codec::decode(&self.0);
        (0..rows)
            .flat_map(|y| (0..columns).map(move |x| x * rows + y))
            .map(|index| pixels[index] != 0)
            .collect()
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.0.w
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.0.h
    }

    /// Number of pixels of the object.
    pub fn area(&self) -> u64 {
        codec::area(&self.0)
    }

    /// Returns the bounding box of the object, `[x, y, width, height]`; zeros for an empty mask.
    pub fn bbox(&self) -> [f64; 4] {
        codec::to_bbox(&self.0)
    }

    pub(super) fn to_coco(&self) -> hotcoco::Segmentation {
        hotcoco::Segmentation::UncompressedRle {
            size: [self.height(), self.width()],
            counts: self.0.counts.clone(),
        }
    }
}

impl Serialize for RunLengths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("RunLengths", 2)?;
        object.serialize_field("size", &[self.height(), self.width()])?;
        object.serialize_field("counts", &codec::rle_to_string(&self.0))?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: u32 = 4;
    const HEIGHT: u32 = 3;

    fn mask(rows: [&str; 3]) -> Vec<bool> {
        rows.concat().chars().map(|pixel| pixel == '#').collect()
    }

    #[test]
    fn runs_go_down_the_columns() {
        let pixels = mask([".#..", ".##.", "..#."]);
        let runs = RunLengths::encode(&pixels, WIDTH, HEIGHT).unwrap();
        assert_eq!(runs.0.counts, [3, 2, 2, 2, 3]);
        assert_eq!(runs.decode(), pixels);
        assert_eq!(runs.area(), 4);
        assert_eq!(runs.bbox(), [1.0, 0.0, 2.0, 3.0]);
    }

    #[test]
    fn a_first_pixel_of_the_object_follows_an_empty_run() {
        let pixels = mask(["#..#", "...#", "...#"]);
        let runs = RunLengths::encode(&pixels, WIDTH, HEIGHT).unwrap();
        assert_eq!(runs.0.counts, [0, 1, 8, 3]);
        assert_eq!(runs.decode(), pixels);
    }

    #[test]
    fn an_empty_mask_has_no_box() {
        let runs = RunLengths::encode(&[false; 12], WIDTH, HEIGHT).unwrap();
        assert_eq!((runs.area(), runs.bbox()), (0, [0.0; 4]));
        let runs = RunLengths::encode(&[], 0, 0).unwrap();
        assert_eq!(runs.decode(), Vec::<bool>::new());
    }

    #[test]
    fn runs_of_another_size_are_refused() {
        let error = RunLengths::new(4, 3, vec![5, 6]).unwrap_err().to_string();
        assert!(error.contains("4x3 mask add up to 11 pixels"), "{error}");
        assert!(error.contains("expected 12"), "{error}");
        assert!(RunLengths::encode(&[true; 5], 4, 3).is_err());
    }

    #[test]
    fn json_is_the_compressed_form() {
        // The string is pycocotools'.
        let pixels = mask([".#..", ".##.", "..#."]);
        let runs = RunLengths::encode(&pixels, WIDTH, HEIGHT).unwrap();
        let json = serde_json::to_value(&runs).unwrap();
        assert_eq!(json, serde_json::json!({"size": [3, 4], "counts": "32201"}));
    }
}
