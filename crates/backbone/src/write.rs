//! Writing files whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes beside the file and renames, so that a kill leaves the old file or the new one.
///
/// # Errors
///
/// What the system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("partial");
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
