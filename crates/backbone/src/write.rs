//! Writing files whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where [`write_whole`] writes a file before it is whole. A process that is killed may leave it.
pub fn partial(path: &Path) -> PathBuf {
    path.with_extension("partial")
}

/// Writes beside the file and renames, so that a kill leaves the old file or the new one.
///
/// # Errors
///
/// What the system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = partial(path);
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
