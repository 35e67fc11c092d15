//! Geometric transforms of images and label planes, which must be transformed together.
//!
//! Both follow the same convention: pixel `i` of an axis covers `[i, i + 1)` and is sampled at its centre, `i +
//! 0.5`. A label is therefore always aligned with its pixel.

use fast_image_resize as fir;
use image::RgbImage;

use crate::error::DataError;

/// Resizes the image of sample `id` bilinearly, sampling at half-pixel centres.
///
/// The bilinear kernel keeps its size when shrinking, as in OpenCV's `INTER_LINEAR`, which the public recipes
/// use: a wider kernel would produce smoother, but different, training images.
///
/// # Errors
/// [`DataError::Resize`] if a size is zero or too large.
pub(crate) fn resize_image(
    id: &str,
    image: RgbImage,
    width: u32,
    height: u32,
) -> Result<RgbImage, DataError> {
    if image.dimensions() == (width, height) {
        return Ok(image);
    }
    interpolate(&image, width, height).map_err(|reason| DataError::Resize {
        id: id.into(),
        width: image.width(),
        height: image.height(),
        target_width: width,
        target_height: height,
        reason,
    })
}

fn interpolate(image: &RgbImage, width: u32, height: u32) -> Result<RgbImage, String> {
    const LARGEST: u64 = 1 << 28;
    if image.width() == 0 || image.height() == 0 || width == 0 || height == 0 {
        return Err("an image has no pixels".into());
    }
    if u64::from(width) * u64::from(height) > LARGEST {
        return Err(format!("more than {LARGEST} pixels"));
    }
    let pixels = fir::PixelType::U8x3;
    let source = fir::images::ImageRef::new(image.width(), image.height(), image.as_raw(), pixels)
        .map_err(|error| error.to_string())?;
    let mut target = fir::images::Image::new(width, height, pixels);
    let algorithm = fir::ResizeAlg::Interpolation(fir::FilterType::Bilinear);
    let options = fir::ResizeOptions::new()
        .resize_alg(algorithm)
        .use_alpha(false);
    fir::Resizer::new()
        .resize(&source, &mut target, &options)
        .map_err(|error| error.to_string())?;
    RgbImage::from_raw(width, height, target.into_vec())
        .ok_or_else(|| "the result has the wrong size".into())
}

/// Resizes a plane from size `from` to size `to` (width and height) by nearest neighbour, sampling at
/// half-pixel centres.
pub(crate) fn resize_plane<T: Copy>(data: &[T], from: (u32, u32), to: (u32, u32)) -> Vec<T> {
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
pub(crate) fn crop_plane<T: Copy>(
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
pub(crate) fn flip_plane<T>(data: &mut [T], width: u32) {
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
