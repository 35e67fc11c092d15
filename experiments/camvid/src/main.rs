//! CamVid street scenes on a CPU: what every method that fits reaches, and what it takes.
//!
//! An experiment composes the crates: it names its configuration, says what a method needs besides, and
//! lets the library train, resume and tabulate.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use gradway::experiment::MethodArguments;
use gradway::trainer::memory::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Train methods on CamVid and print a table.
///
/// Stopped and started again, it goes on where it was.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the runs go.
    #[arg(long, default_value = "runs/camvid")]
    out: PathBuf,
    /// Configuration.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/camvid.toml"))]
    config: PathBuf,
    /// Methods; see `gradway list methods`.
    #[arg(long, value_delimiter = ',', default_value = "fixed,e3va,full")]
    methods: Vec<String>,
    #[command(flatten)]
    common: MethodArguments,
}

/// The pre-trained weights of a backbone want a smaller rate than what starts at random in it or beside
/// it.
fn settings(method: &str) -> Vec<String> {
    match method {
        "full" | "partial" => vec!["optimizer.learning_rate=5e-4".to_string()],
        _ => Vec::new(),
    }
}

fn main() -> Result<()> {
    memory::keep_freed_memory();
    let Arguments {
        out,
        config,
        methods,
        common,
    } = Arguments::parse();
    common.run(&config, &out, &methods, settings)
}
