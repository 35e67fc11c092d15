//! Writing data to standard output.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::TensorData;
use gradway::backbone::HeaderMetadata;
use serde::Serialize;

/// Writes a line.
pub fn print_line(line: impl Display) -> Result<()> {
    gradway::terminal::print(line)
}

/// Writes a value as JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    print_line(serde_json::to_string_pretty(value)?)
}

/// Refuses an `--output` whose name does not end as the `.safetensors` file that it becomes, or that is a folder.
pub fn require_tensor_file(path: &Path) -> Result<()> {
    let expected = "expected a file whose name ends in .safetensors";
    if path.is_dir() {
        bail!("--output {} is a folder; {expected}", path.display());
    }
    if path
        .extension()
        .is_none_or(|ending| ending != "safetensors")
    {
        bail!("--output {}: {expected}", path.display());
    }
    Ok(())
}

/// Writes named tensors as a `.safetensors` file, `header` as metadata of its header.
pub fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
    header: Option<HeaderMetadata>,
) -> Result<()> {
    gradway::backbone::write_tensors(path, tensors, header)
        .with_context(|| format!("cannot write {}", path.display()))
}
