//! The errors of an import.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::nearest;
use crate::checkpoint::CheckpointError;
use crate::relatives::Relative;

/// The error of an import. The module has not changed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Parameters without a tensor in the file, or tensors without a parameter.
    #[error("{path} does not fit this backbone: {}", describe(missing, unused))]
    Keys {
        /// The file.
        path: PathBuf,
        /// Parameters without a tensor in the file, each with the nearest key of the file.
        missing: Vec<(String, Option<String>)>,
        /// Keys of the file without a parameter, each with the nearest parameter.
        unused: Vec<(String, Option<String>)>,
    },
    /// The file holds another network, which is known.
    #[error("{path} does not fit this backbone: {relative}")]
    Relative {
        /// The file.
        path: PathBuf,
        /// The network.
        relative: Relative,
    },
    /// Weights that are not finite.
    #[error("{path}: tensor `{key}` holds {value} at position {position}; weights must be finite")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor's key.
        key: String,
        /// The first value that is not finite.
        value: f32,
        /// Its index in the flattened tensor.
        position: usize,
    },
    /// A relative position bias table of a window that is not square.
    #[error(
        "{path}: tensor `{key}` has {rows} rows, but a square window of side w has (2 w - 1)^2: the window of the \
         table is not square, and the file does not state its sides; create the model with square images"
    )]
    Window {
        /// The file.
        path: PathBuf,
        /// The tensor's key.
        key: String,
        /// Its number of rows.
        rows: usize,
    },
    /// Relative position bias tables of several windows.
    #[error(
        "{path}: its relative position bias tables are of windows of {}; all blocks of this backbone have the same \
         window: the file is of another architecture, such as timm's swin_s3_tiny, swin_s3_small and swin_s3_base, or \
         was created for images smaller than a window",
        sides(windows)
    )]
    Windows {
        /// The file.
        path: PathBuf,
        /// The sides of the windows.
        windows: BTreeSet<usize>,
    },
    /// Two tensors for one parameter.
    #[error(
        "{path}: `{first}` and `{second}` are both for the parameter `{parameter}`; remove one of them"
    )]
    Twice {
        /// The file.
        path: PathBuf,
        /// The key of one of them.
        first: String,
        /// The key of the other.
        second: String,
        /// The parameter.
        parameter: String,
    },
    /// A tensor of the wrong shape.
    #[error("{path}: tensor `{key}` has shape {found:?}, the backbone needs {expected:?}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's key.
        key: String,
        /// Its shape.
        found: Vec<usize>,
        /// The parameter's shape.
        expected: Vec<usize>,
    },
}

/// Maximum number of keys of each kind in a message.
const LISTED: usize = 5;

fn describe(missing: &[(String, Option<String>)], unused: &[(String, Option<String>)]) -> String {
    let list = |what: &str, keys: &[(String, Option<String>)]| {
        let shown = keys
            .iter()
            .take(LISTED)
            .map(|(key, nearest)| match nearest {
                Some(nearest) => format!("`{key}` (nearest: `{nearest}`)"),
                None => format!("`{key}`"),
            });
        let rest = match keys.len().saturating_sub(LISTED) {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        let shown: Vec<_> = shown.collect();
        format!("{} {what}: {}{rest}", keys.len(), shown.join(", "))
    };
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(list("parameters missing from the file", missing));
    }
    if !unused.is_empty() {
        parts.push(list("unknown keys", unused));
    }
    parts.join("; ")
}

/// `7x7 and 14x14`
fn sides(windows: &BTreeSet<usize>) -> String {
    let sides: Vec<String> = windows
        .iter()
        .map(|side| format!("{side}x{side}"))
        .collect();
    sides.join(" and ")
}

/// Returns each name with the most similar candidate, if any is similar.
pub(super) fn with_nearest(
    names: &[String],
    candidates: &[String],
) -> Vec<(String, Option<String>)> {
    let with = |(index, name): (usize, &String)| {
        // Only the names that a message lists are worth the comparison with every candidate.
        let nearest = (index < LISTED)
            .then(|| nearest(name, candidates.iter().map(String::as_str)))
            .flatten();
        (name.clone(), nearest.map(String::from))
    };
    names.iter().enumerate().map(with).collect()
}
