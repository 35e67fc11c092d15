//! Writing data to standard output.

use std::io::{self, Write};

use anyhow::Result;
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
