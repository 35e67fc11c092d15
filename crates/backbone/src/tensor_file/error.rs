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
    #[error("{path}: tensor `{tensor}` is {found}; expected {expected}")]
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
    #[error("{path}: its header has no checksum `{CHECKSUM}`, so damage cannot be detected")]
    NoChecksum {
        /// The file.
        path: PathBuf,
    },
    /// The checksum is that of something else.
    #[error(
        "{path} is damaged: its header has the checksum {written}, but its content has {found}"
    )]
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
                "it was written by an older version or another program; train or export it again"
                    .to_string(),
            ),
            Self::Damaged { .. } => Some(
                "use another copy of the file; a file that another program changed counts as damaged"
                    .to_string(),
            ),
            Self::Type { .. } => Some(
                "do not convert the files of a run or an adapter; use the file as it was written"
                    .to_string(),
            ),
            _ => None,
        }
    }
}
