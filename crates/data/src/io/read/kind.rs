//! The format of an image file, by its first bytes and not by its name.

use std::path::Path;

use image::{ImageError, ImageFormat};

use crate::error::{DataError, FileFault};

/// The supported formats, in words.
pub(super) const KINDS: &str = "JPEG, PNG, BMP, WebP or TIFF";

const CONVERT: &str = "convert it to PNG or JPEG";
const NO_IMAGE: &str =
    "download the image itself; if it is one of another kind, convert it to JPEG or PNG";

/// Returns the format of a file.
///
/// # Errors
/// If the file is empty or has another format, which is named.
pub(super) fn of(path: &Path, bytes: &[u8]) -> Result<ImageFormat, DataError> {
    use ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
    let other = |found: String, advice| DataError::File {
        path: path.to_path_buf(),
        fault: FileFault::Kind { found, advice },
    };
    match image::guess_format(bytes) {
        Ok(format @ (Jpeg | Png | Bmp | WebP | Tiff)) => Ok(format),
        Ok(format) => Err(other(format!("{} file", name(format)), CONVERT)),
        Err(_) if bytes.is_empty() => Err(DataError::Decode {
            path: path.to_path_buf(),
            reason: "the file is empty".into(),
            expected: KINDS,
        }),
        Err(_) => Err(match bytes {
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => {
                other("HEIC or other HEIF file".into(), CONVERT)
            }
            [0, 0, 0, 12, b'j', b'P', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => {
                other("JPEG 2000 file".into(), CONVERT)
            }
            [b'8', b'B', b'P', b'S', ..] => other("Photoshop file".into(), CONVERT),
            _ if bytes.starts_with(b"version https://git-lfs") => other(
                "pointer of Git LFS rather than the file".into(),
                "fetch the files with `git lfs pull`",
            ),
            _ if bytes.trim_ascii_start().starts_with(b"<") => {
                other("page of text in HTML or XML".into(), NO_IMAGE)
            }
            _ => other("file of an unknown kind".into(), NO_IMAGE),
        }),
    }
}

/// Converts the error of a decoder: an unsupported feature is not reported as damage.
pub(super) fn fault(path: &Path, format: ImageFormat, error: ImageError) -> DataError {
    match error {
        ImageError::Unsupported(error) => DataError::File {
            path: path.to_path_buf(),
            fault: FileFault::Kind {
                found: format!("{} file of an unsupported form ({error})", name(format)),
                advice: CONVERT,
            },
        },
        error => DataError::Decode {
            path: path.to_path_buf(),
            reason: error.to_string(),
            expected: KINDS,
        },
    }
}

pub(super) fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::Bmp => "BMP",
        ImageFormat::WebP => "WebP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Gif => "GIF",
        ImageFormat::Avif => "AVIF",
        other => other.extensions_str().first().copied().unwrap_or("other"),
    }
}
