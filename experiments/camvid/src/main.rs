//! CamVid street scenes on a CPU: what every method that fits reaches, and what it takes.
//!
//! An experiment composes the crates: it reads its configuration, varies method and seed, and lets
//! the library train, resume and tabulate.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use gradway::compare::compare;
use gradway::device::DeviceName;
use gradway::report;
use gradway::summary;
use gradway::trainer::config;
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
    /// Seeds, a run of every method for each.
    #[arg(long, value_delimiter = ',', default_value = "0,1")]
    seeds: Vec<u64>,
    /// Overrides a key of the configuration, such as `train.epochs=1`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Write the means over the seeds there, as `table.md` and `plot.svg`.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// The results as JSON.
    #[arg(long)]
    json: bool,
}

/// The pre-trained weights of a backbone want a smaller rate than what starts at random in it or beside
/// it.
const WEIGHTS_RATE: &str = "optimizer.learning_rate=5e-4";

fn main() -> Result<()> {
    memory::keep_freed_memory();
    let arguments = Arguments::parse();
    let mut runs = Vec::new();
    for &seed in &arguments.seeds {
        for method in &arguments.methods {
            let mut overrides = vec![format!("method.name={method}"), format!("seed={seed}")];
            if matches!(method.as_str(), "full" | "partial") {
                overrides.push(WEIGHTS_RATE.to_string());
            }
            overrides.extend(arguments.set.iter().cloned());
            let config = config::load(&arguments.config, &overrides)?;
            runs.push((format!("{method}-{seed}"), config));
        }
    }
    let outcomes = compare(&runs, &arguments.out, arguments.device)?;
    if let Some(folder) = &arguments.report {
        fs::create_dir_all(folder)?;
        let methods = summary::by_method(&outcomes);
        fs::write(folder.join("table.md"), summary::markdown(&methods))?;
        summary::plot(&methods, &folder.join("plot.svg"))?;
    }
    let text = if arguments.json {
        serde_json::to_string_pretty(&outcomes)?
    } else {
        report::comparison(&outcomes)
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
