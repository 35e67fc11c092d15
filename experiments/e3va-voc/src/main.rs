//! Pascal VOC with the papers' recipe: objects by every method.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use gradway::experiment::MethodArguments;
use gradway::trainer::memory::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Train methods on Pascal VOC 2007 and 2012, score them on the test of 2007, and print a table.
///
/// Stopped and started again, it goes on where it was.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the runs go.
    #[arg(long, default_value = "runs/voc")]
    out: PathBuf,
    /// Configuration.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/swin_l.toml"))]
    config: PathBuf,
    /// Methods; see `gradway list methods`.
    #[arg(long, value_delimiter = ',', default_value = "fixed,e3va,full")]
    methods: Vec<String>,
    #[command(flatten)]
    common: MethodArguments,
}

fn main() -> Result<()> {
    memory::keep_freed_memory();
    let Arguments {
        out,
        config,
        methods,
        common,
    } = Arguments::parse();
    common.run(&config, &out, &methods, |_| Vec::new())
}
