//! CamVid street scenes on a CPU: what fixed, e3va and full reach, and what it takes.
//!
//! An experiment composes the crates: it reads its configuration, varies method and seed, and lets
//! the library train, resume and tabulate.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use gradway::compare::compare;
use gradway::device::DeviceName;
use gradway::report;
use gradway::trainer::config;
use gradway::trainer::memory::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Train fixed, e3va and full on CamVid and print a table.
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
    /// Methods.
    #[arg(long, value_delimiter = ',', default_value = "fixed,e3va,full")]
    methods: Vec<String>,
    /// Seeds, a run of every method for each.
    #[arg(long, value_delimiter = ',', default_value = "0,1")]
    seeds: Vec<u64>,
    /// Overrides a key of the configuration, such as `train.epochs=1`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// The results as JSON.
    #[arg(long)]
    json: bool,
}

/// A pre-trained backbone wants a smaller rate than what starts at random beside it.
const FULL_RATE: &str = "optimizer.learning_rate=5e-4";

fn main() -> Result<()> {
    memory::keep_freed_memory();
    let arguments = Arguments::parse();
    let mut runs = Vec::new();
    for &seed in &arguments.seeds {
        for method in &arguments.methods {
            let mut overrides = vec![format!("method.name={method}"), format!("seed={seed}")];
            if method == "full" {
                overrides.push(FULL_RATE.to_string());
            }
            overrides.extend(arguments.set.iter().cloned());
            let config = config::load(&arguments.config, &overrides)?;
            runs.push((format!("{method}-{seed}"), config));
        }
    }
    let outcomes = compare(&runs, &arguments.out, arguments.device)?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&outcomes)?
    } else {
        report::comparison(&outcomes)
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
