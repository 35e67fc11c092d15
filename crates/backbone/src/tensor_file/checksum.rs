//! The checksum of a file of tensors.

use std::collections::BTreeMap;

use safetensors::Dtype;
use sha2::{Digest, Sha256};

/// The entry of the header that holds the checksum.
pub(super) const CHECKSUM: &str = "sha256";

/// The metadata of a header.
pub type HeaderMetadata = BTreeMap<String, String>;

/// A tensor's type, shape and bytes.
pub(super) type Entry<'a> = (Dtype, &'a [usize], &'a [u8]);

/// Returns the SHA-256 of everything in a file except the checksum itself, as lowercase hexadecimal; tensors
/// are in the order of their names.
pub(super) fn checksum<'a>(
    words: &HeaderMetadata,
    tensors: impl Iterator<Item = (&'a str, Entry<'a>)>,
) -> String {
    let mut hasher = Sha256::new();
    // Every part behind its length, so that no two contents are the same bytes.
    let mut part = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for (key, value) in words.iter().filter(|(key, _)| *key != CHECKSUM) {
        part(key.as_bytes());
        part(value.as_bytes());
    }
    part(b"tensors");
    for (name, (kind, shape, values)) in tensors {
        part(name.as_bytes());
        part(kind.to_string().as_bytes());
        let sides = shape.iter().flat_map(|side| (*side as u64).to_le_bytes());
        part(&sides.collect::<Vec<u8>>());
        part(values);
    }
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
