//! Reading images in their display orientation.

use std::io::Cursor;
use std::path::Path;

use image::{
    DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Pixel, RgbImage,
};

use super::{bytes, guarded, jpeg, kind, limit, orientation, tiff};
use crate::error::{DataError, FileFault};

/// Reads an image as upright RGB. The format is detected from its first bytes, not from its name.
///
/// The conversion is that of PIL's `convert("RGB")`, and for 16-bit images that of OpenCV:
/// - Transparency is ignored; colours that TIFF files store multiplied by alpha are divided by it.
/// - 16-bit values are reduced to their high byte.
/// - The first image of a file is used.
///
/// The EXIF orientation is applied, as in OpenCV and detectron2: labels belong to the image as it is shown.
/// Colour profiles are not applied.
///
/// A truncated JPEG is an error. JPEG has no checksum, so changed bytes in its data result in wrong colours and
/// not in an error.
///
/// # Errors
/// If the file cannot be read, is damaged, truncated or too large, or has another format.
pub fn image(path: &Path) -> Result<RgbImage, DataError> {
    let bytes = bytes(path)?;
    if kind::of(path, &bytes)? == ImageFormat::Jpeg {
        jpeg::check_is_complete(&bytes).map_err(|reason| DataError::Decode {
            path: path.to_path_buf(),
            reason: format!("{reason} after {} bytes", bytes.len()),
            expected: kind::KINDS,
        })?;
    }
    guarded(path, kind::KINDS, || upright(path, &bytes))
}

fn upright(path: &Path, bytes: &[u8]) -> Result<RgbImage, DataError> {
    let (mut decoder, format) = decoder(path, bytes)?;
    let orientation = orientation::of(path, format, bytes, &mut decoder)?;
    let mut decoded =
        DynamicImage::from_decoder(decoder).map_err(|error| kind::fault(path, format, error))?;
    if format == ImageFormat::Tiff && tiff::is_premultiplied(bytes) {
        tiff::divide(&mut decoded);
    }
    let mut upright = DynamicImage::ImageRgb8(rgb(decoded).ok_or_else(|| DataError::File {
        path: path.to_path_buf(),
        fault: FileFault::Kind {
            found: format!("{} file of floating-point values", kind::name(format)),
            advice: "convert it to values of 8 or 16 bits",
        },
    })?);
    upright.apply_orientation(orientation);
    Ok(upright.into_rgb8())
}

/// Returns the width and height of an image as [`image()`] reads it, from its header alone.
///
/// # Errors
/// As [`image()`], except for damage after the header.
pub fn size(path: &Path) -> Result<(u32, u32), DataError> {
    use image::metadata::Orientation::{FlipHorizontal, FlipVertical, NoTransforms, Rotate180};
    let bytes = bytes(path)?;
    guarded(path, kind::KINDS, || {
        let (mut decoder, format) = decoder(path, &bytes)?;
        let (width, height) = decoder.dimensions();
        Ok(match orientation::of(path, format, &bytes, &mut decoder)? {
            NoTransforms | Rotate180 | FlipHorizontal | FlipVertical => (width, height),
            _ => (height, width),
        })
    })
}

/// Returns the decoder of a file with a known format and a valid header.
pub(super) fn decoder<'a>(
    path: &Path,
    bytes: &'a [u8],
) -> Result<(Box<dyn ImageDecoder + 'a>, ImageFormat), DataError> {
    let format = kind::of(path, bytes)?;
    let fail = |error| kind::fault(path, format, error);
    // The size is checked below; what decoders need besides pixels is of the same order.
    const BYTES_A_PIXEL: u64 = 16;
    let largest = limit::limit()?.saturating_mul(BYTES_A_PIXEL);
    match format {
        ImageFormat::Png => limit::check_png(path, bytes)?,
        ImageFormat::Tiff => tiff::check(path, bytes)?,
        _ => {}
    }
    let decoder: Box<dyn ImageDecoder> =
        if format == ImageFormat::Tiff && tiff::is_grey_alpha(bytes) {
            Box::new(tiff::GreyAlpha::new(bytes, largest).map_err(fail)?)
        } else {
            let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
            let mut limits = Limits::no_limits();
            limits.max_alloc = Some(largest);
            reader.limits(limits);
            Box::new(reader.into_decoder().map_err(fail)?)
        };
    let (width, height) = decoder.dimensions();
    limit::check(path, width, height)?;
    Ok((decoder, format))
}

/// Converts to 8-bit RGB; `None` for floating-point images.
fn rgb(decoded: DynamicImage) -> Option<RgbImage> {
    Some(match decoded {
        DynamicImage::ImageLuma16(image) => high_bytes(&image, |[value]| [value; 3]),
        DynamicImage::ImageLumaA16(image) => high_bytes(&image, |[value, _]| [value; 3]),
        DynamicImage::ImageRgb16(image) => high_bytes(&image, |color| color),
        DynamicImage::ImageRgba16(image) => high_bytes(&image, |[r, g, b, _]| [r, g, b]),
        DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) => return None,
        image => image.into_rgb8(),
    })
}

fn high_bytes<P, const N: usize>(
    image: &ImageBuffer<P, Vec<u16>>,
    color: impl Fn([u16; N]) -> [u16; 3],
) -> RgbImage
where
    P: Pixel<Subpixel = u16>,
{
    let (pixels, _) = image.as_raw().as_chunks::<N>();
    let mut result = RgbImage::new(image.width(), image.height());
    for (target, &pixel) in result.pixels_mut().zip(pixels) {
        target.0 = color(pixel).map(|value| (value >> 8) as u8);
    }
    result
}
