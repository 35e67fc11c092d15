//! The `gradway` binary: a thin layer over the crates.
//!
//! Data is written to standard output, logs and progress to standard error. Exit status: 0 for success, 1 for
//! failure, 2 for wrong usage, 128 plus the number of the signal that stopped a run.

// `eprintln!` panics where standard error is closed; `terminal::note` does not.
#![warn(clippy::print_stderr)]

mod commands;
mod image_ids;
mod output;
mod photos;
mod view;

use std::process::ExitCode;

use clap::Parser;
use gradway::terminal;
use gradway::trainer::memory::{self, CountingAllocator};

use commands::Command;

/// Counts live bytes, so that peak memory in tables is reproducible.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Parameter-, memory- and time-efficient tuning of vision backbones for dense prediction.
///
/// Without a command, it runs the demonstration (`gradway demo --help`).
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> ExitCode {
    memory::keep_freed_memory();
    let command = Cli::parse().command.unwrap_or_default();
    terminal::status(command.run())
}
