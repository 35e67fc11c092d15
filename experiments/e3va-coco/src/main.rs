//! Objects and masks by every method: COCO with the papers' recipe, and sets in its format that a CPU
//! can finish.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use gradway::experiment::MethodArguments;
use gradway::trainer::memory::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Train methods on COCO, or a set in its format, and print a table.
///
/// Stopped and started again, it goes on where it was.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the runs go.
    #[arg(long, default_value = "runs/pennfudan")]
    out: PathBuf,
    /// Configuration: that of Penn-Fudan's pedestrians if not given; those of COCO are beside it.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/pennfudan.toml"))]
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
