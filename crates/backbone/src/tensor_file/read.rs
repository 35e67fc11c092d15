//! Reading a file of tensors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};

use super::checksum::{CHECKSUM, Entry, HeaderMetadata, checksum};
use super::error::TensorFileError;

/// A file of tensors in memory.
///
/// Its content is trusted only after [`TensorFile::verify`]. Call it last: the error of a wrong type or of a
/// value that is not finite is more specific than that of a checksum.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    header: Metadata,
    /// Where the values begin.
    start: usize,
    words: HeaderMetadata,
    names: Vec<String>,
}

impl TensorFile {
    /// Reads a file that [`write_tensors`](super::write_tensors) wrote.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Unreadable`] if it is missing or not such a file.
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
    pub fn metadata(&self) -> &HeaderMetadata {
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
    /// [`TensorFileError::Type`] if it has another type, [`TensorFileError::NotFinite`] if a value is not
    /// finite, [`TensorFileError::Unreadable`] if there is no such tensor.
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
    /// [`TensorFileError::NoChecksum`] or [`TensorFileError::Damaged`].
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

fn unreadable(path: &Path, error: impl ToString) -> TensorFileError {
    TensorFileError::Unreadable {
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
}
