//! Planes of pixels, row by row, and their changes of place.
//!
//! Pixel `i` of an axis covers `[i, i + 1)` and is sampled at its centre, `i + 0.5`. A label therefore always sits
//! under the pixel it was drawn on.

mod turn;

pub(crate) use turn::{Taps, Turn};

/// Resizes a plane from size `from` to size `to` (width and height) by nearest neighbour, sampling at
/// half-pixel centres.
pub(crate) fn resize<T: Copy>(data: &[T], from: (u32, u32), to: (u32, u32)) -> Vec<T> {
    let columns = nearest(from.0, to.0);
    let rows = nearest(from.1, to.1);
    let stride = from.0 as usize;
    let mut resized = Vec::with_capacity(columns.len() * rows.len());
    for row in rows {
        let row = &data[row * stride..(row + 1) * stride];
        resized.extend(columns.iter().map(|&column| row[column]));
    }
    resized
}

/// Returns, for every target cell, the source index whose cell contains its centre.
pub(crate) fn nearest(source: u32, target: u32) -> Vec<usize> {
    let (source, target) = (u64::from(source), u64::from(target));
    // (i + 0.5) * source / target, rounded down, without the rounding errors of floats.
    let index = |i: u64| (2 * i + 1) * source / (2 * target);
    (0..target).map(|i| index(i) as usize).collect()
}

/// Crops a window of `size` (width and height) from a plane with rows of `stride` pixels. The window must be
/// inside the plane.
pub(crate) fn crop<T: Copy>(
    data: &[T],
    stride: u32,
    [x, y]: [u32; 2],
    (width, height): (u32, u32),
) -> Vec<T> {
    let mut cropped = Vec::with_capacity(width as usize * height as usize);
    for row in rows(data, stride, [x, y], (width, height)) {
        cropped.extend_from_slice(row);
    }
    cropped
}

/// Returns the rows of a window, which must be inside the plane.
pub(crate) fn rows<T>(
    data: &[T],
    stride: u32,
    [x, y]: [u32; 2],
    (width, height): (u32, u32),
) -> impl Iterator<Item = &[T]> {
    let (x, y) = (x as usize, y as usize);
    (y..y + height as usize).map(move |row| {
        let start = row * stride as usize + x;
        &data[start..start + width as usize]
    })
}

/// Flips a plane with rows of `width` pixels horizontally, in place.
pub(crate) fn flip<T>(data: &mut [T], width: u32) {
    for row in data.chunks_exact_mut((width as usize).max(1)) {
        row.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_samples_cell_centres() {
        assert_eq!(nearest(4, 4), [0, 1, 2, 3]);
        assert_eq!(nearest(4, 2), [1, 3]);
        assert_eq!(nearest(2, 4), [0, 0, 1, 1]);
        assert_eq!(nearest(3, 1), [1]);
        assert_eq!(nearest(5, 3), [0, 2, 4]);
    }
}
