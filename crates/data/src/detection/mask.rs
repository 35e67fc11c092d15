//! Instance masks at the resolution of their annotation.

use std::ops::Range;

use crate::error::DataError;

/// The mask of an instance: a bitmap cropped to its bounding region, in an image of a known size.
///
/// A mask is never resized, since a resized mask of a thin object has holes. [`Mask::crop_and_resize`] samples
/// it at another resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    data: Vec<u8>,
    image_width: u32,
    image_height: u32,
}

impl Mask {
    /// Creates a mask from a bitmap of `width` x `height` pixels, row by row; all values but 0 belong to the
    /// instance.
    ///
    /// # Errors
    /// [`DataError::MaskLength`] if `bitmap` does not have one value per pixel.
    pub fn new(bitmap: &[u8], width: u32, height: u32) -> Result<Self, DataError> {
        let pixels = width as usize * height as usize;
        if bitmap.len() != pixels {
            return Err(DataError::MaskLength {
                width,
                height,
                found: bitmap.len(),
            });
        }
        let mut extent = Extent::default();
        let rows = bitmap.chunks_exact((width as usize).max(1)).zip(0..);
        for (row, y) in rows.clone() {
            let first = row.iter().position(|&value| value != 0);
            let last = row.iter().rposition(|&value| value != 0);
            if let (Some(first), Some(last)) = (first, last) {
                extent.add(first as u32..last as u32 + 1, y..y + 1);
            }
        }
        let mut mask = Self::empty(extent, width, height);
        let (x, y, columns) = (mask.x as usize, mask.y, mask.width as usize);
        let inside = rows.filter(|(_, row)| *row >= y);
        let targets = mask.data.chunks_exact_mut(columns.max(1));
        for ((source, _), target) in inside.zip(targets) {
            for (value, target) in source[x..x + columns].iter().zip(target) {
                *target = u8::from(*value != 0);
            }
        }
        Ok(mask)
    }

    /// Creates a mask from COCO's run lengths: down the columns, background and instance in turn, background first.
    ///
    /// Runs beyond the image are cut off, and missing runs are background: a reader of files must check that
    /// the runs fill the image.
    pub fn from_runs(runs: &[u32], width: u32, height: u32) -> Self {
        let mut extent = Extent::default();
        strokes(runs, width, height, |column, rows| {
            extent.add(column..column + 1, rows);
        });
        let mut mask = Self::empty(extent, width, height);
        let (x, y, columns) = (mask.x, mask.y, mask.width as usize);
        strokes(runs, width, height, |column, rows| {
            for row in rows {
                mask.data[(row - y) as usize * columns + (column - x) as usize] = 1;
            }
        });
        mask
    }

    /// Creates a mask of zeros over a region.
    fn empty(extent: Extent, image_width: u32, image_height: u32) -> Self {
        let (columns, rows) = (extent.columns, extent.rows);
        let (width, height) = (columns.end - columns.start, rows.end - rows.start);
        Self {
            x: columns.start,
            y: rows.start,
            width,
            height,
            data: vec![0; width as usize * height as usize],
            image_width,
            image_height,
        }
    }

    /// Returns the column of the region's first pixel.
    pub fn x(&self) -> u32 {
        self.x
    }

    /// Returns the row of the region's first pixel.
    pub fn y(&self) -> u32 {
        self.y
    }

    /// Returns the width of the region in pixels; 0 for an empty mask.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns the height of the region in pixels; 0 for an empty mask.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Returns the bitmap of the region, `[height, width]`: 1 for the instance and 0 elsewhere.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Returns the width and height of the whole image in pixels.
    pub fn image_size(&self) -> (u32, u32) {
        (self.image_width, self.image_height)
    }

    /// Returns the number of pixels of the instance.
    pub fn area(&self) -> u64 {
        self.data.iter().map(|&value| u64::from(value)).sum()
    }

    /// Returns the bitmap of the whole image, `[height, width]`.
    pub fn to_bitmap(&self) -> Vec<u8> {
        let stride = self.image_width as usize;
        let mut bitmap = vec![0; stride * self.image_height as usize];
        let targets = bitmap.chunks_exact_mut(stride.max(1));
        for (row, target) in self.rows().zip(targets.skip(self.y as usize)) {
            let first = self.x as usize;
            target[first..first + row.len()].copy_from_slice(row);
        }
        bitmap
    }

    /// Returns the mask of the horizontally flipped image.
    pub fn flipped(&self) -> Self {
        Self {
            // An empty region stays where it is.
            x: match self.width {
                0 => self.x,
                width => self.image_width - self.x - width,
            },
            data: self
                .rows()
                .flat_map(|row| row.iter().rev())
                .copied()
                .collect(),
            ..*self
        }
    }

    /// Returns the share of each cell of a box that the instance covers, `[size, size]`, as aligned RoIAlign of
    /// the binary map. The target of a mask head is `share >= 0.5`.
    ///
    /// `bounds` are left, top, right and bottom in pixels of the mask's image. Each cell is the mean of
    /// bilinear samples, as many per axis as it has pixels, rounded up; samples more than a pixel outside the
    /// image are 0. A box without area is 0 everywhere.
    pub fn crop_and_resize(&self, bounds: [f32; 4], size: usize) -> Vec<f32> {
        let [left, top, right, bottom] = bounds;
        let across = Axis::new(left, right, size, self.image_width);
        let down = Axis::new(top, bottom, size, self.image_height);
        // A sample is the product of its two axes' weights, so that the axes can be summed one after
        // the other: the work grows with the pixels of the box and not with those times the cells.
        let mut sums = vec![0.0; self.height as usize * size];
        for (row, sums) in self.rows().zip(sums.chunks_exact_mut(size.max(1))) {
            for sample in &across.samples {
                let value = |index: u32| {
                    let index = index.checked_sub(self.x);
                    index.and_then(|index| row.get(index as usize)).copied()
                };
                sums[sample.cell] += sample.weigh(|index| value(index).map_or(0.0, f64::from));
            }
        }
        let mut shares = vec![0.0; size * size];
        for sample in &down.samples {
            let shares = &mut shares[sample.cell * size..(sample.cell + 1) * size];
            for (column, share) in shares.iter_mut().enumerate() {
                let value = |index: u32| {
                    let index = index.checked_sub(self.y)? as usize;
                    sums.get(index * size + column).copied()
                };
                *share += sample.weigh(|index| value(index).unwrap_or(0.0));
            }
        }
        let count = (across.per_cell * down.per_cell).max(1) as f64;
        shares.into_iter().map(|sum| (sum / count) as f32).collect()
    }

    /// The rows of the region, top row first; no rows if it is empty.
    fn rows(&self) -> std::slice::ChunksExact<'_, u8> {
        self.data.chunks_exact((self.width as usize).max(1))
    }
}

/// The bounding columns and rows of an instance.
#[derive(Default)]
struct Extent {
    columns: Range<u32>,
    rows: Range<u32>,
}

impl Extent {
    fn add(&mut self, columns: Range<u32>, rows: Range<u32>) {
        let join = |whole: &Range<u32>, part: Range<u32>| match whole.is_empty() {
            true => part,
            false => whole.start.min(part.start)..whole.end.max(part.end),
        };
        self.columns = join(&self.columns, columns);
        self.rows = join(&self.rows, rows);
    }
}

/// Calls `draw` with the column and the rows of every run of the instance.
fn strokes(runs: &[u32], width: u32, height: u32, mut draw: impl FnMut(u32, Range<u32>)) {
    let rows = u64::from(height);
    let pixels = u64::from(width) * rows;
    let mut end = 0;
    for (number, &run) in runs.iter().enumerate() {
        let mut start = end;
        end = pixels.min(start + u64::from(run));
        while number % 2 == 1 && start < end {
            // One column at a time: a run may go on in the next one.
            let stop = end.min((start / rows + 1) * rows);
            let first = (start % rows) as u32;
            draw((start / rows) as u32, first..first + (stop - start) as u32);
            start = stop;
        }
    }
}

/// A sample on an axis.
struct Sample {
    cell: usize,
    /// The pixel before it, and its weight.
    low: (u32, f64),
    /// The pixel after it, and its weight.
    high: (u32, f64),
}

impl Sample {
    fn weigh(&self, value: impl Fn(u32) -> f64) -> f64 {
        self.low.1 * value(self.low.0) + self.high.1 * value(self.high.0)
    }
}

/// The samples of a box along one axis.
struct Axis {
    samples: Vec<Sample>,
    per_cell: usize,
}

impl Axis {
    /// Positions are `f32`, as in the implementation that results are compared with: at the edge of the image,
    /// and where the number of samples changes, the last bit matters.
    fn new(start: f32, end: f32, cells: usize, pixels: u32) -> Self {
        // Pixel `i` covers `[i, i + 1)` and is sampled at its centre.
        let (start, end) = (start - 0.5, end - 0.5);
        let length = end - start;
        let cell_length = length / cells as f32;
        // More than two samples a pixel of the image add nothing, and a wild box may ask for many.
        let most = 2 * pixels as usize + 1;
        let per_cell = (cell_length.ceil().max(0.0) as usize).min(most);
        let last = pixels.saturating_sub(1);
        let mut samples = Vec::with_capacity(cells * per_cell);
        for cell in 0..cells {
            for number in 0..per_cell {
                let within = (number as f32 + 0.5) * cell_length / per_cell as f32;
                let position = start + cell as f32 * cell_length + within;
                // Written so that NaN is outside.
                if !(position >= -1.0 && position <= pixels as f32) || pixels == 0 {
                    continue;
                }
                let position = position.max(0.0);
                let low = (position as u32).min(last);
                let weight = if low == last {
                    0.0
                } else {
                    f64::from(position - low as f32)
                };
                samples.push(Sample {
                    cell,
                    low: (low, 1.0 - weight),
                    high: ((low + 1).min(last), weight),
                });
            }
        }
        Self { samples, per_cell }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns 1 and 2 of rows 1 to 3, but for one corner, of an image of 6 x 5.
    fn mask() -> Mask {
        let mut bitmap = vec![0; 30];
        for (x, y) in [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)] {
            bitmap[y * 6 + x] = 255;
        }
        Mask::new(&bitmap, 6, 5).unwrap()
    }

    #[test]
    fn a_mask_is_cut_to_its_pixels() {
        let mask = mask();
        assert_eq!(
            (mask.x(), mask.y(), mask.width(), mask.height()),
            (1, 1, 2, 3)
        );
        assert_eq!(mask.data(), [1, 1, 1, 1, 1, 0]);
        assert_eq!((mask.area(), mask.image_size()), (5, (6, 5)));
        assert_eq!(Mask::new(&mask.to_bitmap(), 6, 5).unwrap(), mask);
        assert!(Mask::new(&[0; 7], 6, 5).is_err());
    }

    #[test]
    fn runs_go_down_the_columns() {
        assert_eq!(Mask::from_runs(&[6, 3, 2, 2, 17], 6, 5), mask());
        // From the second half of one column to the first half of the next but one.
        let mask = Mask::from_runs(&[3, 10, 7], 4, 5);
        assert_eq!(
            (mask.x(), mask.y(), mask.width(), mask.height()),
            (0, 0, 3, 5)
        );
        assert_eq!(mask.area(), 10);
        assert_eq!(mask.data(), [0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 0]);
        // Too many and too few pixels.
        assert_eq!(Mask::from_runs(&[18, 10], 4, 5).area(), 2);
        assert_eq!(Mask::from_runs(&[1, 3], 4, 5).area(), 3);
        assert_eq!(Mask::from_runs(&[1, 3], 0, 0).area(), 0);
    }

    #[test]
    fn an_empty_mask_is_empty_in_every_way() {
        let mask = Mask::from_runs(&[20], 4, 5);
        assert_eq!((mask.width(), mask.height(), mask.area()), (0, 0, 0));
        assert_eq!(mask, Mask::new(&[0; 20], 4, 5).unwrap());
        assert_eq!(mask.flipped(), mask);
        assert_eq!(mask.to_bitmap(), [0; 20]);
        assert_eq!(mask.crop_and_resize([0.0, 0.0, 4.0, 5.0], 2), [0.0; 4]);
    }

    #[test]
    fn flipping_twice_is_nothing() {
        let flipped = mask().flipped();
        assert_eq!((flipped.x(), flipped.y()), (3, 1));
        assert_eq!(flipped.data(), [1, 1, 1, 1, 0, 1]);
        assert_eq!(flipped.flipped(), mask());
    }

    #[test]
    fn a_box_on_pixel_edges_gives_the_pixels() {
        let shares = mask().crop_and_resize([1.0, 1.0, 4.0, 4.0], 3);
        assert_eq!(shares, [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        // Four samples a cell, a pixel apart, on pixel centres.
        let shares = mask().crop_and_resize([0.0, 0.0, 4.0, 4.0], 2);
        assert_eq!(shares, [0.25, 0.25, 0.5, 0.25]);
    }

    #[test]
    fn boxes_without_area_or_sense_are_zero() {
        let zero = [0.0; 4];
        for bounds in [
            [2.0, 2.0, 2.0, 2.0],
            [3.0, 3.0, 1.0, 1.0],
            [f32::NAN; 4],
            [100.0, 100.0, 200.0, 200.0],
        ] {
            assert_eq!(mask().crop_and_resize(bounds, 2), zero, "{bounds:?}");
        }
        assert_eq!(mask().crop_and_resize([0.0, 0.0, 4.0, 4.0], 0), [0.0; 0]);
        // The largest numbers: the call must return, and quickly.
        let wild = mask().crop_and_resize([f32::MIN, f32::MIN, f32::MAX, f32::MAX], 2);
        assert_eq!(wild.len(), 4);
    }
}
