//! Pasting the mask of a region into an image.

use super::bounds::Bounds;

/// Probability from which on a pixel belongs to the object.
const THRESHOLD: f32 = 0.5;

/// Returns the pixels of an image that a mask of `[side, side]` over `bounds` covers, row by row.
///
/// A pixel takes the value of the mask at its centre, by bilinear interpolation between the centres of the
/// mask's cells and with zeros around them, as detectron2's `paste_masks_in_image`.
///
/// # Shapes
///
/// - `mask`: `[side, side]`, from 0 to 1
/// - output: `[height, width]`
pub fn paste(mask: &[f32], side: usize, bounds: Bounds, [height, width]: [usize; 2]) -> Vec<bool> {
    let mut pixels = vec![false; height * width];
    let [left, top, right, bottom] = bounds;
    let columns = interpolations(left, right, side, width);
    for (y, row) in interpolations(top, bottom, side, height) {
        for (x, column) in &columns {
            let mut share = 0.0;
            for (row, of_row) in row.cells(side) {
                for (column, of_column) in column.cells(side) {
                    let value = mask.get(row * side + column).copied();
                    share += of_row * of_column * value.unwrap_or_default();
                }
            }
            pixels[y * width + x] = share >= THRESHOLD;
        }
    }
    pixels
}

/// The two cells that a pixel's centre is interpolated from.
struct Interpolation {
    /// Index of the second cell; the first is the one before, and either may be outside.
    second: usize,
    /// Weight of the second cell.
    share: f32,
}

impl Interpolation {
    /// The cells that are inside, with their weights.
    fn cells(&self, side: usize) -> impl Iterator<Item = (usize, f32)> {
        let first = self.second.checked_sub(1);
        let second = (self.second < side).then_some(self.second);
        let first = first.map(|cell| (cell, 1.0 - self.share));
        let second = second.map(|cell| (cell, self.share));
        first.into_iter().chain(second)
    }
}

/// The pixels along an axis whose centres are interpolated from any cell.
fn interpolations(low: f32, high: f32, side: usize, length: usize) -> Vec<(usize, Interpolation)> {
    let place = |pixel: usize| {
        let share = (pixel as f32 + 0.5 - low) / (high - low);
        // From half a cell before the first centre to half a cell after the last, at least.
        let at = share * side as f32 + 0.5;
        (at > 0.0 && at < side as f32 + 1.0).then(|| {
            let second = at.floor();
            let place = Interpolation {
                second: second as usize,
                share: at - second,
            };
            (pixel, place)
        })
    };
    (0..length).filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_mask_covers_its_bounds() {
        let pixels = paste(&[1.0; 9], 3, [1.0, 2.0, 4.0, 5.0], [6, 5]);
        let covered: Vec<usize> = (0..30).filter(|index| pixels[*index]).collect();
        assert_eq!(covered, [11, 12, 13, 16, 17, 18, 21, 22, 23]);
    }

    #[test]
    fn bounds_without_area_or_outside_cover_nothing() {
        for bounds in [
            [2.0, 2.0, 2.0, 2.0],
            [9.0, 9.0, 12.0, 12.0],
            [-9.0, 0.0, -1.0, 4.0],
        ] {
            let pixels = paste(&[1.0; 4], 2, bounds, [4, 4]);
            assert!(pixels.iter().all(|pixel| !pixel), "{bounds:?}");
        }
    }

    #[test]
    fn halves_stay_halves() {
        // The left half of a square of 8.
        let pixels = paste(&[1.0, 0.0, 1.0, 0.0], 2, [0.0, 0.0, 8.0, 8.0], [8, 8]);
        assert_eq!(
            pixels[3 * 8..4 * 8],
            [true, true, true, true, false, false, false, false]
        );
    }
}
