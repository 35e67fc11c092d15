//! What is wrong with a file of tensors.

use std::path::PathBuf;

use super::checksum::CHECKSUM;

/// Why a file of tensors was not read.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    /// The file is missing, truncated, or not such a file.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor has an unexpected type.
    #[error("{path}: tensor `{tensor}` is {found}, where {expected} is needed")]
    Type {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Its type, as the format names it.
        found: String,
        /// The type that is needed.
        expected: &'static str,
    },
    /// A value that is no finite number.
    #[error("{path}: tensor `{tensor}` holds {value}")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// The first such value.
        value: f32,
    },
    /// The header has no checksum.
    #[error("{path}: its header has no checksum `{CHECKSUM}`, so that damage cannot be told")]
    NoChecksum {
        /// The file.
        path: PathBuf,
    },
    /// The checksum is that of something else.
    #[error("{path} is damaged: its checksum is {written}, that of its content {found}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// As the header has it.
        written: String,
        /// Of what the file holds.
        found: String,
    },
}

impl TensorFileError {
    /// Returns a suggestion to fix the error, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoChecksum { .. } => Some(
                "an older version or another program wrote it; train or export it again"
                    .to_string(),
            ),
            Self::Damaged { .. } => Some(
                "take another copy of it; a file that another program has changed counts as damaged"
                    .to_string(),
            ),
            Self::Type { .. } => Some(
                "files of a run and of an adapter are not to be converted; take the file as it was written"
                    .to_string(),
            ),
            _ => None,
        }
    }
}
