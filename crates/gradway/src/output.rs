//! Writing data to standard output.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::TensorData;
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
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, TensorData>) -> Result<()> {
    gradway::backbone::write_tensors(path, tensors, None)
        .with_context(|| format!("cannot write {}", path.display()))
}
