//! Files of named tensors that this library writes and reads: `.safetensors` with a checksum.
//!
//! The header's metadata has an entry `sha256`: a hash of everything else in the file, that is names, types,
//! shapes, values and the other entries. It is checked on reading, so that a flipped bit is an error and not a
//! wrong value.

mod checksum;
mod error;
mod read;
mod write;

pub use checksum::HeaderMetadata;
pub use error::TensorFileError;
pub use read::{TensorFile, require_finite};
pub use write::write_tensors;

#[cfg(test)]
mod tests;
