//! Weight files: names, shapes and layouts are read first, values on demand.
//!
//! Files are not trusted: lengths are compared with the size of the file before memory is allocated.

mod assemble;
mod element;
mod legacy;
mod pickle;
mod pytorch;
mod safetensors;
mod strided;
#[cfg(test)]
mod testing;
mod zip;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

pub(crate) use element::Element;
pub(crate) use pytorch::open as open_pytorch;
pub(crate) use safetensors::{from_bytes as safetensors_from_bytes, open as open_safetensors};
pub(crate) use strided::Strided;

use crate::tensor_file::HeaderMetadata;

/// The advice for a PyTorch file that holds more than tensors.
pub(crate) const SAVE_ALONE: &str =
    "save the state_dict alone: torch.save(model.state_dict(), ...)";

/// The error of reading a file or a part of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// An error of the operating system.
    #[error("{0}")]
    System(#[from] io::Error),
    /// An error in one record of a zip archive.
    #[error("record `{record}` {reason}")]
    Record { record: String, reason: String },
    /// Any other error.
    #[error("{0}")]
    Format(String),
}

impl Fault {
    pub(crate) fn format(reason: impl Into<String>) -> Self {
        Self::Format(reason.into())
    }
}

/// A file whose values are read on demand.
#[derive(Debug)]
pub(crate) struct WeightFile {
    /// Tensors by their names.
    pub(crate) tensors: BTreeMap<String, Stored>,
    /// Descriptions of the entries that are not tensors, by name.
    pub(crate) others: BTreeMap<String, String>,
    /// The metadata of the header, in a format that has some.
    pub(crate) words: HeaderMetadata,
    /// The container of the values.
    pub(crate) container: Container,
}

/// A tensor of a file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Element type; `None` for an unsupported type.
    pub(crate) element: Option<Element>,
    /// Shape, strides and offset inside the storage.
    pub(crate) layout: Strided,
    /// The location of the storage.
    pub(crate) place: Location,
}

/// The location of a storage.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    /// Offset in the file, in bytes.
    Byte(u64),
    /// A record of a zip archive.
    Record(String),
}

/// The container of the values.
#[derive(Debug)]
pub(crate) enum Container {
    /// Bytes in memory.
    Memory(Cow<'static, [u8]>),
    /// A file.
    File(File),
    /// A zip archive, and whether its elements are big-endian.
    Zip(zip::Archive, bool),
}

impl Container {
    /// Reads the values of a tensor as 32-bit floats, in the order of its shape.
    pub(crate) fn values(&mut self, stored: &Stored) -> Result<Vec<f32>, Fault> {
        let Some(element) = stored.element else {
            return Err(Fault::format("numbers of an unsupported type"));
        };
        let range = stored
            .layout
            .bytes(element.bytes())
            .ok_or_else(|| Fault::format("a shape that does not fit in memory"))?;
        let values = element.decode(&self.read(&stored.place, range, element)?);
        Ok(stored.layout.gather(values))
    }

    /// Compares a storage with its checksum, if the file has one.
    pub(crate) fn verify(&mut self, place: &Location) -> Result<(), Fault> {
        match (self, place) {
            (Self::Zip(archive, _), Location::Record(record)) => archive.verify(record),
            _ => Ok(()),
        }
    }

    /// Reads bytes of a storage, in little-endian order.
    fn read(
        &mut self,
        place: &Location,
        range: Range<u64>,
        element: Element,
    ) -> Result<Vec<u8>, Fault> {
        match (self, place) {
            (Self::Memory(bytes), Location::Byte(start)) => {
                let end = start.checked_add(range.end);
                let range = end.map(|end| (start + range.start) as usize..end as usize);
                let part = range.and_then(|range| bytes.get(range));
                Ok(part.ok_or_else(cut_short)?.to_vec())
            }
            (Self::File(file), Location::Byte(start)) => {
                let from = start.checked_add(range.start).ok_or_else(cut_short)?;
                read_at(file, from, range.end - range.start)
            }
            (Self::Zip(archive, big_endian), Location::Record(record)) => {
                let mut bytes = archive.read(record, range)?;
                if *big_endian {
                    bytes
                        .chunks_exact_mut(element.bytes())
                        .for_each(<[u8]>::reverse);
                }
                Ok(bytes)
            }
            _ => Err(Fault::format("a storage of another container")),
        }
    }
}

fn cut_short() -> Fault {
    Fault::format("the file ends before its last tensor does; it was cut short")
}

/// Reads `length` bytes of a file from `start` on.
fn read_at(file: &mut File, start: u64, length: u64) -> Result<Vec<u8>, Fault> {
    // Only what is there is waited for and paid for.
    let available = file.metadata()?.len().saturating_sub(start);
    if length > available {
        return Err(cut_short());
    }
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(cut_short());
    }
    Ok(bytes)
}
