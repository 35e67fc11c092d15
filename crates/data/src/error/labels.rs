//! Errors in the labels of a task.

use std::path::PathBuf;

use thiserror::Error;

/// An error in labels; [`DataError::Labels`](super::DataError::Labels) adds the sample and the task.
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

    /// The labels do not have the size of the image.
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

    /// The labels have another type than their task, or invalid values.
    #[error("{reason}")]
    Values {
        /// The reason.
        reason: String,
    },

    /// A file has invalid content.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error, and the expected content.
        reason: String,
    },
}

impl LabelFault {
    /// Returns a suggestion to fix the error, if there is one.
    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => Some(
                "download the labels of the task, or remove the task; only the labels of the configured tasks are needed",
            ),
            _ => None,
        }
    }
}
