//! Images that are stored in another orientation than they are shown in.

use std::path::Path;

use image::metadata::Orientation;

use super::{bytes, guarded, kind, orientation, picture};
use crate::error::{DataError, FileFault};

/// Whether an image is stored in another orientation than it is shown in; [`super::image()`] rotates it.
///
/// # Errors
/// As [`super::image()`], except for damage after the header.
pub fn is_turned(path: &Path) -> Result<bool, DataError> {
    let bytes = bytes(path)?;
    guarded(path, kind::KINDS, || {
        let (mut decoder, format) = picture::decoder(path, &bytes)?;
        let orientation = orientation::of(path, format, &bytes, &mut decoder)?;
        Ok(orientation != Orientation::NoTransforms)
    })
}

/// Returns the error of labels whose size differs from their upright image. It names the orientation if the
/// labels fit the stored image.
pub fn size_mismatch(
    image: &Path,
    (image_width, image_height): (u32, u32),
    mask: &Path,
    (mask_width, mask_height): (u32, u32),
) -> DataError {
    if (mask_width, mask_height) == (image_height, image_width)
        && let Ok(true) = is_turned(image)
    {
        return DataError::File {
            path: image.to_path_buf(),
            fault: FileFault::Turned {
                width: image_width,
                height: image_height,
                mask: mask.to_path_buf(),
            },
        };
    }
    DataError::SizeMismatch {
        image: image.to_path_buf(),
        image_width,
        image_height,
        mask: mask.to_path_buf(),
        mask_width,
        mask_height,
    }
}
