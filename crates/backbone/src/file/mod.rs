//! Weight files: names, shapes and layouts first, values when they are asked for.
//!
//! Nothing here trusts a file. Lengths are compared with what the file has before memory is taken, and a
//! tensor is read through its own strides.

mod element;
mod legacy;
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

/// What to do about a PyTorch file that holds more than tensors.
pub(crate) const SAVE_ALONE: &str =
    "save the state_dict alone: torch.save(model.state_dict(), ...)";

/// Why a file, or a part of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// What the system says.
    #[error("{0}")]
    System(#[from] io::Error),
    /// One record of a zip archive.
    #[error("record `{record}` {reason}")]
    Record { record: String, reason: String },
    /// Anything else.
    #[error("{0}")]
    Format(String),
}

impl Fault {
    pub(crate) fn format(reason: impl Into<String>) -> Self {
        Self::Format(reason.into())
    }
}

/// A file whose values are read when they are asked for.
#[derive(Debug)]
pub(crate) struct WeightFile {
    /// Tensors by their names.
    pub(crate) tensors: BTreeMap<String, Stored>,
    /// What is no tensor, by its name: what it is instead.
    pub(crate) others: BTreeMap<String, String>,
    /// Where the values are.
    pub(crate) container: Container,
}

/// A tensor of a file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Type of the numbers; none where it is one that is not read.
    pub(crate) element: Option<Element>,
    /// Shape, strides and offset inside the storage.
    pub(crate) layout: Strided,
    /// The storage.
    pub(crate) place: Place,
}

/// Where a storage is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// From this byte of the file on.
    Byte(u64),
    /// A record of a zip archive.
    Record(String),
}

/// What holds the values.
#[derive(Debug)]
pub(crate) enum Container {
    /// Bytes in memory.
    Memory(Cow<'static, [u8]>),
    /// A file.
    File(File),
    /// A zip archive; whether its numbers have the most significant byte first.
    Zip(zip::Archive, bool),
}

impl Container {
    /// The values of a tensor as 32-bit floats, in the order of its shape.
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

    /// Holds a storage against its checksum, where the file has one.
    pub(crate) fn verify(&mut self, place: &Place) -> Result<(), Fault> {
        match (self, place) {
            (Self::Zip(archive, _), Place::Record(record)) => archive.verify(record),
            _ => Ok(()),
        }
    }

    /// Bytes of a storage, the least significant one of every number first.
    fn read(
        &mut self,
        place: &Place,
        range: Range<u64>,
        element: Element,
    ) -> Result<Vec<u8>, Fault> {
        match (self, place) {
            (Self::Memory(bytes), Place::Byte(start)) => {
                let end = start.checked_add(range.end);
                let range = end.map(|end| (start + range.start) as usize..end as usize);
                let part = range.and_then(|range| bytes.get(range));
                Ok(part.ok_or_else(cut_short)?.to_vec())
            }
            (Self::File(file), Place::Byte(start)) => {
                let from = start.checked_add(range.start).ok_or_else(cut_short)?;
                read_at(file, from, range.end - range.start)
            }
            (Self::Zip(archive, big_endian), Place::Record(record)) => {
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

/// So many bytes of a file, from one on.
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
