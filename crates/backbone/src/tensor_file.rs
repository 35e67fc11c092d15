//! Files of named tensors that this library writes and reads: `.safetensors` with a checksum.
//!
//! The header's metadata has an entry `sha256`: a hash of everything else in the file, that is names, types,
//! shapes, values and the other entries. It is checked on reading, so that a flipped bit is an error and not a
//! wrong value.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use crate::write::write_whole;

/// The entry of the header that holds the checksum.
const CHECKSUM: &str = "sha256";
/// The header is padded to a multiple of this number of bytes.
const ALIGNMENT: usize = 8;

/// The metadata of a header.
pub type HeaderMetadata = BTreeMap<String, String>;

/// The error of reading a file of tensors.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    /// The file is missing, truncated, or not such a file.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A tensor has an unexpected type.
    #[error("{path}: tensor `{tensor}` is {found}, where {expected} is needed")]
    Type {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Its type, as the format names it.
        found: String,
        /// The expected type.
        expected: &'static str,
    },
    /// A value that is not finite.
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
    #[error("{path}: its header has no checksum `{CHECKSUM}`, so that damage cannot be told")]
    NoChecksum {
        /// The file.
        path: PathBuf,
    },
    /// The checksum does not match the content.
    #[error("{path} is damaged: its checksum is {written}, that of its content {found}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The checksum in the header.
        written: String,
        /// The checksum of the content.
        found: String,
    },
}

impl TensorFileError {
    /// Returns a suggestion to fix the error, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoChecksum { .. } => Some(
                "an older version or another program wrote it; train or export it again"
                    .to_string(),
            ),
            Self::Damaged { .. } => Some(
                "take another copy of it; a file that another program has changed counts as damaged"
                    .to_string(),
            ),
            Self::Type { .. } => Some(
                "files of a run and of an adapter are not to be converted; take the file as it was written"
                    .to_string(),
            ),
            _ => None,
        }
    }
}

/// A tensor's type, shape and bytes.
type Entry<'a> = (Dtype, &'a [usize], &'a [u8]);

/// Writes named tensors as a `.safetensors` file with a checksum, atomically, with `metadata` in its header.
///
/// The same content always produces the same bytes.
///
/// # Errors
///
/// If the file cannot be written, or a tensor has an unsupported type.
pub fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
    metadata: Option<HeaderMetadata>,
) -> io::Result<()> {
    let views = tensors.iter().map(|(name, data)| {
        let kind = match data.dtype {
            DType::F32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            DType::U8 => Dtype::U8,
            other => {
                let reason = format!("tensor `{name}` is {other:?}, which is not written");
                return Err(io::Error::other(reason));
            }
        };
        let view = TensorView::new(kind, data.shape.to_vec(), data.as_bytes());
        Ok((name.as_str(), view.map_err(io::Error::other)?))
    });
    let views: BTreeMap<&str, TensorView<'_>> = views.collect::<io::Result<_>>()?;
    let mut metadata = metadata.unwrap_or_default();
    let entries = views.iter().map(|(name, view)| (*name, entry(view)));
    let checksum = checksum(&metadata, entries);
    metadata.insert(CHECKSUM.to_string(), checksum);
    let bytes = safetensors::serialize(views, None).map_err(io::Error::other)?;
    write_whole(path, &with_metadata(&bytes, &metadata)?)
}

/// Checks that values in single precision are finite; `path` is the file that they are for.
///
/// # Errors
///
/// [`TensorFileError::NotFinite`] with the first value that is not.
pub fn require_finite(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
) -> Result<(), TensorFileError> {
    tensors
        .iter()
        .try_for_each(|(name, data)| finite(path, name, data))
}

fn finite(path: &Path, name: &str, data: &TensorData) -> Result<(), TensorFileError> {
    match data.iter::<f32>().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => Err(TensorFileError::NotFinite {
            path: path.to_path_buf(),
            tensor: name.to_string(),
            value,
        }),
    }
}

/// Adds metadata to a file without any. The crate that writes files keeps metadata in a hash map, whose order
/// differs between two files with the same content.
fn with_metadata(bytes: &[u8], metadata: &HeaderMetadata) -> io::Result<Vec<u8>> {
    let no_header = || io::Error::other("a file without a header was written");
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(no_header)?;
    let length = u64::from_le_bytes(*length) as usize;
    let (header, values) = rest.split_at_checked(length).ok_or_else(no_header)?;
    let tensors = header.trim_ascii_end().strip_prefix(b"{");
    let tensors = tensors.ok_or_else(no_header)?;
    let metadata = serde_json::to_string(metadata).map_err(io::Error::other)?;
    let comma = if tensors == b"}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{metadata}{comma}").into_bytes();
    header.extend_from_slice(tensors);
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    let mut whole = (header.len() as u64).to_le_bytes().to_vec();
    whole.extend_from_slice(&header);
    whole.extend_from_slice(values);
    Ok(whole)
}

fn entry<'a>(view: &'a TensorView<'_>) -> Entry<'a> {
    (view.dtype(), view.shape(), view.data())
}

/// Returns the SHA-256 of everything in a file except the checksum itself, as lowercase hexadecimal; tensors
/// are in the order of their names.
fn checksum<'a>(
    metadata: &HeaderMetadata,
    tensors: impl Iterator<Item = (&'a str, Entry<'a>)>,
) -> String {
    let mut hasher = Sha256::new();
    // Every part behind its length, so that no two contents are the same bytes.
    let mut part = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for (key, value) in metadata.iter().filter(|(key, _)| *key != CHECKSUM) {
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

/// A file of tensors in memory.
///
/// Its content is trusted only after [`TensorFile::verify`]. Call it last: the error of a wrong type or of a
/// value that is not finite is more specific than that of a checksum.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    header: Metadata,
    /// Offset of the values.
    start: usize,
    metadata: HeaderMetadata,
    names: Vec<String>,
}

impl TensorFile {
    /// Reads a file that [`write_tensors`] wrote.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Unreadable`] if it is missing or not such a file.
    pub fn open(path: &Path) -> Result<Self, TensorFileError> {
        let bytes = fs::read(path).map_err(|error| unreadable(path, error))?;
        let (length, header) =
            SafeTensors::read_metadata(&bytes).map_err(|error| unreadable(path, error))?;
        let metadata = header.metadata().iter().flatten();
        let metadata = metadata.map(|(key, value)| (key.clone(), value.clone()));
        let mut names = header.offset_keys();
        names.sort_unstable();
        Ok(Self {
            path: path.to_path_buf(),
            metadata: metadata.collect(),
            names,
            start: size_of::<u64>() + length,
            header,
            bytes,
        })
    }

    /// Returns the metadata of the header.
    pub fn metadata(&self) -> &HeaderMetadata {
        &self.metadata
    }

    /// Returns the names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there is a tensor with this name.
    pub fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Returns a tensor in single precision.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Type`] if it has another type, [`TensorFileError::NotFinite`] if a value is not
    /// finite, [`TensorFileError::Unreadable`] if there is no such tensor.
    pub fn floats(&self, name: &str) -> Result<TensorData, TensorFileError> {
        let data = self.of_type(name, Dtype::F32, DType::F32, "F32")?;
        finite(&self.path, name, &data)?;
        Ok(data)
    }

    /// Returns a tensor of bytes.
    ///
    /// # Errors
    ///
    /// As [`TensorFile::floats`].
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, TensorFileError> {
        let data = self.of_type(name, Dtype::U8, DType::U8, "U8")?;
        Ok(data.as_bytes().to_vec())
    }

    fn of_type(
        &self,
        name: &str,
        expected: Dtype,
        kind: DType,
        written: &'static str,
    ) -> Result<TensorData, TensorFileError> {
        let (found, shape, values) = self
            .entry(name)
            .ok_or_else(|| unreadable(&self.path, format!("there is no tensor `{name}`")))?;
        if found != expected {
            return Err(TensorFileError::Type {
                path: self.path.clone(),
                tensor: name.to_string(),
                found: found.to_string(),
                expected: written,
            });
        }
        let shape = shape.to_vec();
        Ok(TensorData::from_bytes_vec(values.to_vec(), shape, kind))
    }

    fn entry(&self, name: &str) -> Option<Entry<'_>> {
        let info = self.header.info(name)?;
        let (from, to) = info.data_offsets;
        let values = self.bytes.get(self.start + from..self.start + to)?;
        Some((info.dtype, &info.shape, values))
    }

    /// Compares the file with its checksum.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::NoChecksum`] or [`TensorFileError::Damaged`].
    pub fn verify(&self) -> Result<(), TensorFileError> {
        let written = self.metadata.get(CHECKSUM);
        let written = written.ok_or_else(|| TensorFileError::NoChecksum {
            path: self.path.clone(),
        })?;
        let entries = self
            .names()
            .filter_map(|name| Some((name, self.entry(name)?)));
        let found = checksum(&self.metadata, entries);
        match found == *written {
            true => Ok(()),
            false => Err(TensorFileError::Damaged {
                path: self.path.clone(),
                written: written.clone(),
                found,
            }),
        }
    }
}

fn unreadable(path: &Path, error: impl ToString) -> TensorFileError {
    TensorFileError::Unreadable {
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> BTreeMap<String, TensorData> {
        let floats = TensorData::new(vec![1.0f32, -2.5, 3e-9, 0.0], [2, 2]);
        let bytes = TensorData::new(vec![7u8, 0, 255], [3]);
        BTreeMap::from([("a.weight".to_string(), floats), ("b".to_string(), bytes)])
    }

    fn metadata() -> HeaderMetadata {
        HeaderMetadata::from([
            ("state".to_string(), r#"{"step":3}"#.to_string()),
            ("other".to_string(), String::new()),
        ])
    }

    fn read(path: &Path) -> Result<(HeaderMetadata, Vec<TensorData>), TensorFileError> {
        let file = TensorFile::open(path)?;
        let tensors = file.names().map(|name| match name {
            "b" => file.bytes(name).map(|bytes| {
                let count = bytes.len();
                TensorData::new(bytes, [count])
            }),
            _ => file.floats(name),
        });
        let tensors = tensors.collect::<Result<_, _>>()?;
        file.verify()?;
        Ok((file.metadata().clone(), tensors))
    }

    #[test]
    fn what_is_written_is_read_and_the_same_content_is_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        write_tensors(&first, &tensors(), Some(metadata())).unwrap();
        let (mut found, values) = read(&first).unwrap();
        assert_eq!(found.remove(CHECKSUM).map(|sum| sum.len()), Some(64));
        assert_eq!(found, metadata());
        assert_eq!(values, tensors().into_values().collect::<Vec<_>>());
        write_tensors(&second, &tensors(), Some(metadata())).unwrap();
        assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
    }

    #[test]
    fn no_flipped_bit_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_tensors(&path, &tensors(), Some(metadata())).unwrap();
        let whole = fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, damaged).unwrap();
            assert!(read(&path).is_err(), "bit {bit} of {}", 8 * whole.len());
        }
    }

    #[test]
    fn a_file_of_no_tensors_has_a_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_tensors(&path, &BTreeMap::new(), None).unwrap();
        assert!(read(&path).unwrap().1.is_empty());
    }

    #[test]
    fn a_file_without_a_checksum_is_told_from_a_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let values = 1.0f32.to_le_bytes();
        let view = TensorView::new(Dtype::F32, vec![1], &values).unwrap();
        fs::write(&path, safetensors::serialize([("a", view)], None).unwrap()).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            matches!(error, TensorFileError::NoChecksum { .. }),
            "{error}"
        );
    }

    #[test]
    fn another_type_and_what_is_no_number_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (kind, bytes) in [
            (Dtype::BF16, 2),
            (Dtype::F16, 2),
            (Dtype::F64, 8),
            (Dtype::I64, 8),
        ] {
            let values = vec![0; bytes];
            let view = TensorView::new(kind, vec![1], &values).unwrap();
            fs::write(&path, safetensors::serialize([("a", view)], None).unwrap()).unwrap();
            let error = read(&path).unwrap_err().to_string();
            let expected = format!("tensor `a` is {kind}, where F32 is needed");
            assert!(error.ends_with(&expected), "{error}");
        }
        for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            let data = TensorData::new(vec![0.0, value], [2]);
            let tensors = BTreeMap::from([("a".to_string(), data)]);
            write_tensors(&path, &tensors, None).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("tensor `a` holds {word}")),
                "{error}"
            );
        }
    }
}
