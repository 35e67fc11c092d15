//! Writing files atomically.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Returns the temporary path that [`write_whole`] writes to. A process that is killed may leave this file behind.
pub fn partial(path: &Path) -> PathBuf {
    path.with_extension("partial")
}

/// Writes a file atomically: to a temporary file, which is then renamed. A process that is killed leaves the
/// old file or the new one.
///
/// # Errors
///
/// An error of the operating system.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = partial(path);
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
