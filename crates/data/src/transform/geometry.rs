//! Resizing of images, which samples pixels at their centres as planes of labels do (`plane.rs`).

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
