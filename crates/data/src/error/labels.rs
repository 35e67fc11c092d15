//! What can be wrong with the labels of one task.

use std::path::PathBuf;

use thiserror::Error;

/// What is wrong with labels, to which [`DataError::Labels`](super::DataError::Labels) adds the sample
/// and the task.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LabelFault {
    /// A file does not exist.
    #[error("{} does not exist ({missing} of {total} samples lack such a file)", path.display())]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
        /// Number of samples without a file of the task.
        missing: usize,
        /// Number of samples in the split.
        total: usize,
    },

    /// The labels do not cover the image exactly.
    #[error(
        "the image is {width}x{height}, but its labels are {label_width}x{label_height} with {labels} values"
    )]
    Size {
        /// Width of the image in pixels.
        width: u32,
        /// Height of the image in pixels.
        height: u32,
        /// Width of the labels in pixels.
        label_width: u32,
        /// Height of the labels in pixels.
        label_height: u32,
        /// Number of labels.
        labels: usize,
    },

    /// The labels are of another kind than their task, or hold numbers that make no sense.
    #[error("{reason}")]
    Values {
        /// What is wrong.
        reason: String,
    },

    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
}

impl LabelFault {
    /// What to do about it, where something general can be said.
    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => Some(
                "download the labels of the task, or remove the task; only the labels of the configured tasks are needed",
            ),
            _ => None,
        }
    }
}
