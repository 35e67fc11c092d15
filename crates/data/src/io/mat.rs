//! MATLAB 5 files, as written by `save` up to version 7: arrays of numbers, text, cells and structs.
//!
//! *MAT-File Format*, The MathWorks. Only the part that annotations of datasets use is supported: sparse
//! arrays, objects and function handles are recognised but not read, and files of version 7.3, which are HDF5,
//! are rejected. Sizes are checked against the bytes of the file.

mod element;
mod value;

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;

use crate::error::DataError;

use element::{COMPRESSED, Cursor, Fault, MATRIX};
pub use value::{Numbers, Structs, Value};

/// Size of the header: the text, the version and the byte order mark.
const HEADER: usize = 128;

/// Maximum total size of the decompressed variables of a file.
const MAXIMUM_BYTES: u64 = 256 << 20;

/// A file with its decompressed variables.
pub struct MatFile {
    path: PathBuf,
    big_endian: bool,
    variables: Vec<Variable>,
}

/// The decompressed body of an array.
struct Variable {
    bytes: Vec<u8>,
    /// Its position, for messages.
    place: String,
}

impl MatFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If the file cannot be read, has another format, or is damaged.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
        Self::parse(path, &bytes).map_err(|reason| decode(path, reason))
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, String> {
        let big_endian = byte_order(bytes)?;
        let mut variables = Vec::new();
        let mut unpacked = 0;
        let mut cursor = Cursor::new(bytes, HEADER, big_endian);
        while !cursor.is_at_end() {
            let start = cursor.position();
            let at = |fault: Fault| format!("at byte {}: {}", fault.position, fault.reason);
            let element = cursor.element().map_err(at)?;
            match element.kind {
                MATRIX => variables.push(Variable {
                    bytes: element.bytes.to_vec(),
                    place: format!("of the array at byte {start}"),
                }),
                COMPRESSED => {
                    let place = format!("of what is compressed at byte {start}");
                    let inner = unpack(element.bytes, &mut unpacked)
                        .map_err(|reason| format!("at byte {start}: {reason}"))?;
                    let mut cursor = Cursor::new(&inner, 0, big_endian);
                    let element = cursor.element().map_err(|fault| {
                        format!("at byte {} {place}: {}", fault.position, fault.reason)
                    })?;
                    if element.kind == MATRIX {
                        variables.push(Variable {
                            bytes: element.bytes.to_vec(),
                            place,
                        });
                    }
                }
                // Nothing else holds variables.
                _ => {}
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            big_endian,
            variables,
        })
    }

    /// Returns the variable `name`.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn variable(&self, name: &str) -> Result<Value<'_>, DataError> {
        let mut found = Vec::new();
        for variable in &self.variables {
            let fail = |fault: Fault| {
                let Fault { position, reason } = fault;
                let place = &variable.place;
                decode(&self.path, format!("at byte {position} {place}: {reason}"))
            };
            let mut cursor = Cursor::new(&variable.bytes, 0, self.big_endian);
            let known = value::name(&mut cursor).map_err(fail)?;
            if known == name {
                return value::parse(&variable.bytes, self.big_endian).map_err(fail);
            }
            found.push(known);
        }
        let found = match &found[..] {
            [] => "none".into(),
            names => names.join(", "),
        };
        Err(decode(
            &self.path,
            format!("it has no variable `{name}` (found: {found})"),
        ))
    }

    /// Creates an error about the content of the file.
    pub(crate) fn fault(&self, reason: impl Into<String>) -> DataError {
        decode(&self.path, reason.into())
    }
}

fn decode(path: &Path, reason: String) -> DataError {
    DataError::Decode {
        path: path.to_path_buf(),
        reason,
        expected: "MATLAB 5",
    }
}

/// Whether the file is big-endian.
fn byte_order(bytes: &[u8]) -> Result<bool, String> {
    if bytes.starts_with(b"\x89HDF") {
        return Err("it is a plain HDF5 file".into());
    }
    let header = bytes.get(..HEADER).ok_or_else(|| {
        format!(
            "it has {} bytes, and the header alone has {HEADER}",
            bytes.len()
        )
    })?;
    let version: [u8; 2] = [header[124], header[125]];
    let (big_endian, version) = match &header[126..] {
        b"IM" => (false, u16::from_le_bytes(version)),
        b"MI" => (true, u16::from_be_bytes(version)),
        other => {
            return Err(format!(
                "at byte 126: the mark of the byte order is {other:?}, not `IM` or `MI`"
            ));
        }
    };
    match version {
        0x0100 => Ok(big_endian),
        0x0200 => Err("it is of version 7.3, which is HDF5: save it again with `save -v7`".into()),
        other => Err(format!(
            "at byte 124: the version is {other:#06x}, not 0x0100"
        )),
    }
}

/// Decompresses a variable; `total` is the decompressed size of all variables so far.
fn unpack(bytes: &[u8], total: &mut u64) -> Result<Vec<u8>, String> {
    let left = MAXIMUM_BYTES - (*total).min(MAXIMUM_BYTES);
    let mut unpacked = Vec::new();
    let mut decoder = ZlibDecoder::new(bytes).take(left + 1);
    decoder
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("it cannot be decompressed: {error}"))?;
    *total += unpacked.len() as u64;
    if *total > MAXIMUM_BYTES {
        return Err(format!(
            "it decompresses to more than {MAXIMUM_BYTES} bytes"
        ));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests;
