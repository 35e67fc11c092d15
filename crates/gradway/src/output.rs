//! Writing data to standard output.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::{DType, TensorData};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Serialize;

/// Writes a line.
pub fn print_line(line: impl std::fmt::Display) -> Result<()> {
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}

/// Writes a value as JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    print_line(serde_json::to_string_pretty(value)?)
}

/// Writes named tensors as a `.safetensors` file.
pub fn write_tensors<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a String, &'a TensorData)>,
) -> Result<()> {
    let mut views = Vec::new();
    for (name, data) in tensors {
        let kind = match data.dtype {
            DType::F32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            other => bail!("tensor `{name}` is {other:?}; only f32 and f16 are written"),
        };
        let view = TensorView::new(kind, data.shape.to_vec(), data.as_bytes())?;
        views.push((name.as_str(), view));
    }
    safetensors::serialize_to_file(views, None, path)
        .with_context(|| format!("cannot write {}", path.display()))
}
