//! Text files of names, a line each.

use std::path::Path;

use crate::error::DataError;

/// The lines of a text file, trimmed, without the empty ones.
///
/// # Errors
/// A file that cannot be read or is not UTF-8.
pub(crate) fn lines(path: &Path) -> Result<Vec<String>, DataError> {
    let text = std::fs::read_to_string(path).map_err(|source| DataError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    // Some editors put a byte order mark first, which would become part of the first name.
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_string).collect())
}
