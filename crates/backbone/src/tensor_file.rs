//! Files of named tensors that this library writes and reads again: `.safetensors` with a checksum.
//!
//! The header's metadata has an entry `sha256`: a hash of everything else that the file holds, which is names,
//! types, shapes, values and the other entries. Reading compares it, so that a flipped bit is an error and no
//! other number.

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
/// Bytes that a header is filled up to a multiple of.
const ALIGNMENT: usize = 8;

/// Words beside the tensors: the metadata of a header.
pub type Words = BTreeMap<String, String>;

/// Why a file of tensors was not read.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    /// The file is missing, cut short, or something else.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor of a type that this library does not write there.
    #[error("{path}: tensor `{tensor}` is {found}; expected {expected}")]
    Type {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Its type, as the format names it.
        found: String,
        /// The type that is needed.
        expected: &'static str,
    },
    /// A value that is no finite number.
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
    #[error("{path}: its header has no checksum `{CHECKSUM}`, so damage cannot be detected")]
    NoChecksum {
        /// The file.
        path: PathBuf,
    },
    /// The checksum is that of something else.
    #[error(
        "{path} is damaged: its header has the checksum {written}, but its content has {found}"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// As the header has it.
        written: String,
        /// Of what the file holds.
        found: String,
    },
}

impl TensorFileError {
    /// What would be right, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoChecksum { .. } => Some(
                "it was written by an older version or another program; train or export it again"
                    .to_string(),
            ),
            Self::Damaged { .. } => Some(
                "use another copy of the file; a file that another program changed counts as damaged"
                    .to_string(),
            ),
            Self::Type { .. } => Some(
                "do not convert the files of a run or an adapter; use the file as it was written"
                    .to_string(),
            ),
            _ => None,
        }
    }
}

/// A tensor's type, shape and bytes.
type Entry<'a> = (Dtype, &'a [usize], &'a [u8]);

/// Writes named tensors as a `.safetensors` file with a checksum, whole or not at all; `words` go into its header.
///
/// The same content gives the same bytes.
///
/// # Errors
///
/// What the system says, or a tensor that is none of single, half or byte precision.
pub fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
    words: Option<Words>,
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
    let mut words = words.unwrap_or_default();
    let entries = views.iter().map(|(name, view)| (*name, entry(view)));
    let checksum = checksum(&words, entries);
    words.insert(CHECKSUM.to_string(), checksum);
    let bytes = safetensors::serialize(views, None).map_err(io::Error::other)?;
    write_whole(path, &with_words(&bytes, &words)?)
}

/// Refuses values of single precision that are no finite numbers; `path` is the file that they are for.
///
/// # Errors
///
/// [`TensorFileError::NotFinite`] with the first of them.
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

/// A file without metadata with these: the crate that writes files keeps them in a hash map, whose order differs
/// between two files of the same content.
fn with_words(bytes: &[u8], words: &Words) -> io::Result<Vec<u8>> {
    let no_header = || io::Error::other("a file without a header was written");
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(no_header)?;
    let length = u64::from_le_bytes(*length) as usize;
    let (header, values) = rest.split_at_checked(length).ok_or_else(no_header)?;
    let tensors = header.trim_ascii_end().strip_prefix(b"{");
    let tensors = tensors.ok_or_else(no_header)?;
    let words = serde_json::to_string(words).map_err(io::Error::other)?;
    let comma = if tensors == b"}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{words}{comma}").into_bytes();
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

/// SHA-256 of everything in a file but the checksum itself, as lowercase hexadecimal; tensors in the order of
/// their names.
fn checksum<'a>(words: &Words, tensors: impl Iterator<Item = (&'a str, Entry<'a>)>) -> String {
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

/// A file of tensors in memory.
///
/// What it holds is only to be believed after [`TensorFile::verify`]. That comes last: a type that is wrong or
/// a value that is no number says more than that something has changed.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    header: Metadata,
    /// Where the values begin.
    start: usize,
    words: Words,
    names: Vec<String>,
}

impl TensorFile {
    /// Reads a file that [`write_tensors`] wrote.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Unreadable`] where it is missing or no such file.
    pub fn open(path: &Path) -> Result<Self, TensorFileError> {
        let bytes = fs::read(path).map_err(|error| unreadable(path, error))?;
        let (length, header) =
            SafeTensors::read_metadata(&bytes).map_err(|error| unreadable(path, error))?;
        let words = header.metadata().iter().flatten();
        let words = words.map(|(key, value)| (key.clone(), value.clone()));
        let mut names = header.offset_keys();
        names.sort_unstable();
        Ok(Self {
            path: path.to_path_buf(),
            words: words.collect(),
            names,
            start: size_of::<u64>() + length,
            header,
            bytes,
        })
    }

    /// The words of the header.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// A tensor of single precision.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Type`] where it is of another type, [`TensorFileError::NotFinite`],
    /// [`TensorFileError::Unreadable`] where there is none.
    pub fn floats(&self, name: &str) -> Result<TensorData, TensorFileError> {
        let data = self.of_type(name, Dtype::F32, DType::F32, "F32")?;
        finite(&self.path, name, &data)?;
        Ok(data)
    }

    /// A tensor of bytes.
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
    /// [`TensorFileError::NoChecksum`], [`TensorFileError::Damaged`].
    pub fn verify(&self) -> Result<(), TensorFileError> {
        let written = self.words.get(CHECKSUM);
        let written = written.ok_or_else(|| TensorFileError::NoChecksum {
            path: self.path.clone(),
        })?;
        let entries = self
            .names()
            .filter_map(|name| Some((name, self.entry(name)?)));
        let found = checksum(&self.words, entries);
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

    fn words() -> Words {
        Words::from([
            ("state".to_string(), r#"{"step":3}"#.to_string()),
            ("other".to_string(), String::new()),
        ])
    }

    fn read(path: &Path) -> Result<(Words, Vec<TensorData>), TensorFileError> {
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
        Ok((file.words().clone(), tensors))
    }

    #[test]
    fn what_is_written_is_read_and_the_same_content_is_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        write_tensors(&first, &tensors(), Some(words())).unwrap();
        let (mut found, values) = read(&first).unwrap();
        assert_eq!(found.remove(CHECKSUM).map(|sum| sum.len()), Some(64));
        assert_eq!(found, words());
        assert_eq!(values, tensors().into_values().collect::<Vec<_>>());
        write_tensors(&second, &tensors(), Some(words())).unwrap();
        assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
    }

    #[test]
    fn no_flipped_bit_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_tensors(&path, &tensors(), Some(words())).unwrap();
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
            let expected = format!("tensor `a` is {kind}; expected F32");
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
