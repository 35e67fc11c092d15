//! Reading images and masks; damaged files are errors.

mod directory;
mod jpeg;
mod kind;
mod limit;
mod mask;
mod orientation;
mod picture;
mod tiff;
mod turned;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::DataError;

pub use limit::{MAXIMUM_PIXELS, MAXIMUM_PIXELS_VARIABLE};
pub use mask::{grey, grey_16, labels, labels_by};
pub use picture::{image, size};
pub use turned::{is_turned, size_mismatch};

/// Reads the bytes of a file.
fn bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::read(path, source))
}

/// Calls `decode`; a panic of a decoder on unusual bytes becomes an error that names the file.
fn guarded<T>(
    path: &Path,
    expected: &'static str,
    decode: impl FnOnce() -> Result<T, DataError>,
) -> Result<T, DataError> {
    let panicked = |payload: Box<dyn std::any::Any + Send>| {
        let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Err(DataError::Decode {
            path: path.to_path_buf(),
            reason: format!("its decoder failed ({})", text.unwrap_or_default()),
            expected,
        })
    };
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_decoder_is_an_error_that_names_the_file() {
        let values: Vec<u8> = Vec::new();
        let error = guarded(Path::new("a.tif"), "TIFF", || Ok(values[3])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("a.tif cannot be decoded: its decoder failed (index out"),
            "{text}"
        );
        assert_eq!(guarded(Path::new("a.tif"), "TIFF", || Ok(3)).unwrap(), 3);
    }
}
