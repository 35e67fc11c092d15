//! The hash of a file, as the hub declares it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Bytes that are read at a time.
const PART: usize = 1 << 20;

/// Returns the hash of a file in the form of an etag: SHA-256 for a large file, git's SHA-1 of a blob for a small one, by the
/// number of digits. `None` if the etag is no hash, as those of some mirrors.
///
/// # Errors
///
/// Of the operating system.
pub(crate) fn hash_like(etag: &str, path: &Path) -> io::Result<Option<String>> {
    if !etag
        .bytes()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    {
        return Ok(None);
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    match etag.len() {
        64 => digest(Sha256::new(), file).map(Some),
        40 => {
            let header = format!("blob {length}\0");
            digest(Sha1::new_with_prefix(header), file).map(Some)
        }
        _ => Ok(None),
    }
}

fn digest(mut hasher: impl Digest, mut file: File) -> io::Result<String> {
    let mut part = vec![0; PART];
    loop {
        let count = file.read(&mut part)?;
        if count == 0 {
            break;
        }
        hasher.update(&part[..count]);
    }
    let bytes = hasher.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `printf hello`: `sha256sum`, and `git hash-object`.
    #[test]
    fn hashes_are_those_of_the_hub() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hello");
        std::fs::write(&path, "hello").expect("a file");
        let large = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let small = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        for etag in [large, small] {
            let like = "0".repeat(etag.len());
            let hash = hash_like(&like, &path).expect("read");
            assert_eq!(hash.as_deref(), Some(etag));
        }
        for etag in ["abc", "not-a-hash", &"g".repeat(64)] {
            assert_eq!(hash_like(etag, &path).expect("read"), None);
        }
    }
}
