//! The EXIF orientation of images.

use std::path::Path;

use image::ImageDecoder;
use image::ImageFormat;
use image::metadata::Orientation;

use super::kind;
use crate::error::DataError;

/// The orientation that a file states.
pub(super) fn of(
    path: &Path,
    format: ImageFormat,
    bytes: &[u8],
    decoder: &mut impl ImageDecoder,
) -> Result<Orientation, DataError> {
    let fail = |error| kind::fault(path, format, error);
    let exif = match format {
        // A tag of the file itself.
        ImageFormat::Tiff => return decoder.orientation().map_err(fail),
        // The chunk may follow the pixels, where the decoder has not been yet.
        ImageFormat::Png => png_chunk(bytes).map(<[u8]>::to_vec),
        _ => decoder.exif_metadata().map_err(fail)?,
    };
    // WebP files of some programs keep the mark that EXIF has in JPEG files.
    let exif = exif.as_deref().unwrap_or_default();
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    Ok(Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms))
}

/// The EXIF data of a PNG.
fn png_chunk(bytes: &[u8]) -> Option<&[u8]> {
    const SIGNATURE: usize = 8;
    let mut rest = bytes.get(SIGNATURE..)?;
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (name, after) = after.split_first_chunk::<4>()?;
        let data = after.get(..u32::from_be_bytes(*length) as usize)?;
        if name == b"eXIf" {
            return Some(data);
        }
        // The checksum.
        rest = after.get(data.len() + 4..)?;
    }
}
