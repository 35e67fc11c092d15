//! `.safetensors`: the length of the header, the header in JSON, and the elements of all tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use safetensors::tensor::Metadata;

use super::{Container, Element, Fault, Location, Stored, Strided, WeightFile, cut_short, read_at};

/// Size of the header's length, in bytes.
const PREFIX: u64 = 8;
/// Maximum length of a header, as in safetensors itself.
const LONGEST_HEADER: u64 = 100_000_000;

/// Opens a file.
pub(crate) fn open(mut file: File) -> Result<WeightFile, Fault> {
    let length = file.metadata()?.len();
    let mut prefix = [0; PREFIX as usize];
    file.read_exact(&mut prefix).map_err(|_| cut_short())?;
    let header = header_length(prefix, length)?;
    let text = read_at(&mut file, PREFIX, header)?;
    weight_file(&text, length, Container::File(file))
}

/// Reads a file in memory.
pub(crate) fn from_bytes(bytes: Cow<'static, [u8]>) -> Result<WeightFile, Fault> {
    let length = bytes.len() as u64;
    let (prefix, rest) = bytes.split_first_chunk().ok_or_else(cut_short)?;
    let header = header_length(*prefix, length)?;
    let text = rest[..header as usize].to_vec();
    weight_file(&text, length, Container::Memory(bytes))
}

/// Reads a header; `length` is that of the whole file.
fn weight_file(header: &[u8], length: u64, container: Container) -> Result<WeightFile, Fault> {
    // Tensors lie one behind the other, and each has the bytes that its shape needs: reading a header checks that.
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|error| Fault::format(format!("its header cannot be read: {error}")))?;
    let words = metadata.metadata().iter().flatten();
    Ok(WeightFile {
        tensors: tensors(&metadata, header.len(), length)?,
        others: BTreeMap::new(),
        words: words
            .map(|(key, word)| (key.clone(), word.clone()))
            .collect(),
        container,
    })
}

/// Returns the length of the header, which the file must be long enough for.
fn header_length(prefix: [u8; PREFIX as usize], length: u64) -> Result<u64, Fault> {
    let header = u64::from_le_bytes(prefix);
    if header > LONGEST_HEADER {
        return Err(Fault::format(format!(
            "not a .safetensors file: it would start with a header of {header} bytes"
        )));
    }
    if header > length.saturating_sub(PREFIX) {
        return Err(cut_short());
    }
    Ok(header)
}

fn tensors(
    metadata: &Metadata,
    header: usize,
    length: u64,
) -> Result<BTreeMap<String, Stored>, Fault> {
    let start = PREFIX + header as u64;
    let mut tensors = BTreeMap::new();
    for (name, info) in metadata.tensors() {
        let (from, to) = info.data_offsets;
        let element = Element::of_safetensors(info.dtype);
        let layout = match element {
            Some(element) => {
                let available = to.saturating_sub(from) / element.bytes();
                Strided::contiguous(info.shape.clone(), available)
                    .map_err(|reason| Fault::format(format!("tensor `{name}` is {reason}")))?
            }
            // Its values are never read.
            None => Strided::unread(info.shape.clone()),
        };
        let place = Location::Byte(start.saturating_add(from as u64));
        let stored = Stored {
            element,
            layout,
            place,
        };
        tensors.insert(name, stored);
    }
    let end = metadata.data_len() as u64;
    match start.checked_add(end) {
        Some(needed) if needed == length => Ok(tensors),
        Some(needed) if needed < length => Err(Fault::format(format!(
            "{} bytes follow the last tensor",
            length - needed
        ))),
        _ => Err(cut_short()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, numbers: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend(vec![0; numbers]);
        bytes
    }

    const ONE: &str = r#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;

    #[test]
    fn a_header_is_held_against_the_file() {
        assert!(from_bytes(file(ONE, 16).into()).is_ok());
        let one = |shape: &str, offsets: &str| {
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        let cases = [
            (ONE.to_string(), 15, "cut short"),
            (ONE.to_string(), 17, "1 bytes follow"),
            (one("[2,3]", "[0,16]"), 16, "its header"),
            (one("[3]", "[0,16]"), 16, "its header"),
            (one("[4]", "[16,0]"), 16, "its header"),
            (one("[9223372036854775807,9]", "[0,16]"), 16, "its header"),
            ("{".to_string(), 0, "its header"),
        ];
        for (header, numbers, expected) in cases {
            let error = from_bytes(file(&header, numbers).into()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let error = from_bytes(vec![255; 40].into()).unwrap_err();
        assert!(error.to_string().contains("not a .safetensors"), "{error}");
        let error = from_bytes(vec![1, 2].into()).unwrap_err();
        assert!(error.to_string().contains("cut short"), "{error}");
    }

    #[test]
    fn a_type_that_is_not_read_stands_in_the_way_of_no_other() {
        let header = r#"{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"BOOL","shape":[2],"data_offsets":[4,6]}}"#;
        let mut bytes = file(header, 6);
        *bytes.last_mut().unwrap() = 7;
        let mut file = from_bytes(bytes.into()).unwrap();
        let [a, b] = ["a", "b"].map(|name| file.tensors[name].clone());
        assert_eq!(a.layout.shape(), [4]);
        assert!(file.container.values(&a).is_err());
        assert_eq!(file.container.values(&b).unwrap(), [0.0, 1.0]);
    }
}
