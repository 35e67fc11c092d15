//! Files of named tensors that this library writes and reads again: `.safetensors` with a checksum.
//!
//! The header's metadata has an entry `sha256`: a hash of everything else that the file holds, which is names,
//! types, shapes, values and the other entries. Reading compares it, so that a flipped bit is an error and no
//! other number.

mod checksum;
mod error;
mod read;
mod write;

pub use checksum::Words;
pub use error::TensorFileError;
pub use read::{TensorFile, require_finite};
pub use write::write_tensors;

#[cfg(test)]
mod tests;
