//! Writing a file of tensors.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::checksum::{CHECKSUM, Entry, HeaderMetadata, checksum};
use crate::write::write_whole;

/// The header is padded to a multiple of this number of bytes.
const ALIGNMENT: usize = 8;

/// Writes named tensors as a `.safetensors` file with a checksum, atomically; `words` are the metadata of its header.
///
/// The same content gives the same bytes.
///
/// # Errors
///
/// If the file cannot be written, or a tensor has an unsupported type.
pub fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
    words: Option<HeaderMetadata>,
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

/// Adds metadata to a file without any. The crate that writes files keeps metadata in a hash map, whose order
/// differs between two files with the same content.
fn with_words(bytes: &[u8], words: &HeaderMetadata) -> io::Result<Vec<u8>> {
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
