//! The `gradway` binary: a thin layer over the crates.
//!
//! Data goes to standard output, logs and progress to standard error. Exit status: 0 success,
//! 1 failed, 2 wrong usage.

mod commands;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use commands::{Outcome, features, list};

/// Parameter-, memory- and time-efficient tuning of vision backbones for dense prediction.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Features(features::Features),
    List(list::List),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Some(Command::Features(command)) => command.run(),
        Some(Command::List(command)) => command.run(),
        None => Ok(()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a line of data to standard output.
fn print_line(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Writes a value as JSON to standard output.
fn print_json(value: &impl Serialize) -> Outcome {
    print_line(&serde_json::to_string_pretty(value)?)?;
    Ok(())
}
