//! Writing files whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Where [`write_whole`] writes a file before it is whole. A process that is killed may leave it.
pub fn partial(path: &Path) -> PathBuf {
    path.with_extension("partial")
}

/// Writes beside the file and renames, so that a kill leaves the old file or the new one.
///
/// # Errors
///
/// What the system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = partial(path);
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// Writes named tensors as a `.safetensors` file, with words in its header.
///
/// # Errors
///
/// What the system says, or a tensor that is none of single, half or byte precision.
pub fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
    header: Option<HashMap<String, String>>,
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
    let views: Vec<_> = views.collect::<io::Result<_>>()?;
    let bytes = safetensors::serialize(views, header).map_err(io::Error::other)?;
    write_whole(path, &bytes)
}
