//! How large an image or mask may be.

use std::path::Path;
use std::sync::OnceLock;

use crate::error::{DataError, FileFault};

pub use crate::error::MAXIMUM_PIXELS_VARIABLE;

/// Maximum number of pixels of an image or mask, 8192 x 8192, unless [`MAXIMUM_PIXELS_VARIABLE`] sets another.
///
/// A file of a few kilobytes may claim gigabytes, so its header is checked before anything is allocated.
pub const MAXIMUM_PIXELS: u64 = 1 << 26;

/// Refuses a size beyond the limit.
///
/// # Errors
/// [`DataError::File`] if it is not; [`DataError::InvalidValue`] if the variable is not a number.
pub(super) fn check(path: &Path, width: u32, height: u32) -> Result<(), DataError> {
    let limit = limit()?;
    match u64::from(width) * u64::from(height) <= limit {
        true => Ok(()),
        false => Err(DataError::File {
            path: path.to_path_buf(),
            fault: FileFault::TooManyPixels {
                width,
                height,
                limit,
            },
        }),
    }
}

/// As [`check`], for the header of a PNG: its decoder has its own limit, whose error does not state the size.
///
/// # Errors
/// As [`check`].
pub(super) fn check_png(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let Some(&[a, b, c, d, e, f, g, h]) = bytes.get(16..24) else {
        // Too short to be one, which the decoder says.
        return Ok(());
    };
    let [width, height] = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
    check(path, width, height)
}

/// The limit in force.
pub(super) fn limit() -> Result<u64, DataError> {
    static LIMIT: OnceLock<Result<u64, String>> = OnceLock::new();
    let limit = LIMIT.get_or_init(|| parse(std::env::var_os(MAXIMUM_PIXELS_VARIABLE)));
    limit.clone().map_err(|value| DataError::InvalidValue {
        key: MAXIMUM_PIXELS_VARIABLE,
        value,
        expected: "a whole number of pixels, at least 1".into(),
    })
}

/// Parses the value of the variable; the error is the value.
fn parse(value: Option<std::ffi::OsString>) -> Result<u64, String> {
    let Some(value) = value else {
        return Ok(MAXIMUM_PIXELS);
    };
    let value = value.to_string_lossy();
    match value.trim().parse() {
        Ok(limit @ 1..) => Ok(limit),
        _ => Err(value.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_replaces_the_limit() {
        assert_eq!(parse(None), Ok(MAXIMUM_PIXELS));
        assert_eq!(parse(Some("100000000".into())), Ok(100_000_000));
        for wrong in ["", "0", "-1", "8k"] {
            assert_eq!(parse(Some(wrong.into())), Err(wrong.to_string()));
        }
    }

    #[test]
    fn sizes_beyond_the_limit_are_refused() {
        let path = Path::new("a.jpg");
        assert!(check(path, 8192, 8192).is_ok());
        let error = check(path, 8192, 8193).unwrap_err();
        assert!(error.to_string().contains("8192x8193"), "{error}");
        assert!(error.hint().unwrap().contains(MAXIMUM_PIXELS_VARIABLE));
        assert!(check(path, u32::MAX, u32::MAX).is_err());
    }
}
