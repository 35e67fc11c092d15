//! The `gradway` binary: a thin layer over the crates.
//!
//! Data goes to standard output, logs and progress to standard error. Exit status: 0 success,
//! 1 failed, 2 wrong usage.

mod commands;
mod output;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use gradway::data::DataError;
use gradway::metrics::DetectionError;
use gradway::trainer::TrainError;
use gradway::trainer::memory::{self, CountingAllocator};

use commands::Command;

/// Makes peak memory a property of the program, so that its tables repeat.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Parameter-, memory- and time-efficient tuning of vision backbones for dense prediction.
///
/// Without a command it runs the demonstration: see `gradway demo --help`.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> ExitCode {
    memory::keep_freed_memory();
    let command = Cli::parse().command.unwrap_or_default();
    match command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if let Some(hint) = hint(&error) {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Whether standard output was closed by its reader, as `| head` does: that is no failure.
fn reader_left(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What would be right, where the error knows.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let train = cause
            .downcast_ref::<TrainError>()
            .and_then(TrainError::hint);
        let data = || cause.downcast_ref::<DataError>().and_then(DataError::hint);
        let detection = || {
            cause
                .downcast_ref::<DetectionError>()
                .and_then(DetectionError::hint)
        };
        train.or_else(data).or_else(detection)
    })
}
