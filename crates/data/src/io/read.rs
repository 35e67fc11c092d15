//! Reading images and masks; damaged files are errors.

mod jpeg;
mod kind;
mod limit;
mod mask;
mod orientation;
mod picture;
mod turned;

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
