//! Many dense tasks by one model, against every task alone: what each method gains and what it takes.
//!
//! Of every seed it trains one model per task with full fine-tuning (`single`), then one model of all tasks
//! by every method, and prints scores, the relative improvement over `single`, parameters, memory and time.

mod table;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use gradway::compare::compare;
use gradway::device::DeviceName;
use gradway::trainer::config;
use gradway::trainer::memory::{self, CountingAllocator};

use table::{Row, SINGLE, rows};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Train many dense tasks by several methods and print a table.
#[derive(Debug, Parser)]
#[command(after_help = "Stopped and started again, it goes on where it was.")]
struct Arguments {
    /// Where the runs go.
    #[arg(long, default_value = "runs/vmt")]
    out: PathBuf,
    /// Configuration.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/scenes.toml"))]
    config: PathBuf,
    /// Methods; see `gradway list methods`. `single` is one model with full fine-tuning for each task,
    /// which improvements are measured against.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "single,full,fixed,vmt_adapter,vmt_adapter_lite,vmt_highway"
    )]
    methods: Vec<String>,
    /// Seeds, a run of every method for each.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    seeds: Vec<u64>,
    /// Another learning rate for a method, such as `full=2e-3`: the pre-trained weights of a backbone want a
    /// smaller one than what starts at random in it or beside it.
    #[arg(long, value_name = "METHOD=RATE", value_parser = rate)]
    rate: Vec<(String, f64)>,
    /// Overrides a key of the configuration, such as `train.epochs=1`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Write the table there, in Markdown.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn rate(text: &str) -> Result<(String, f64), String> {
    let (method, rate) = text.split_once('=').ok_or("expected METHOD=RATE")?;
    let rate = rate.parse().map_err(|error| format!("`{rate}`: {error}"))?;
    Ok((method.to_string(), rate))
}

fn main() -> Result<()> {
    memory::keep_freed_memory();
    let arguments = Arguments::parse();
    let tasks = config::load(&arguments.config, &arguments.set)?;
    let tasks = tasks.task.multi_task()?.tasks.tasks();
    let mut runs = Vec::new();
    let mut plan: Vec<(String, u64, Vec<String>)> = Vec::new();
    for seed in &arguments.seeds {
        for method in &arguments.methods {
            let parts: Vec<(String, &str, Vec<String>)> = if method == SINGLE {
                let single = |task: &gradway::data::DenseTask| {
                    let name = format!("{SINGLE}-{task}-{seed}");
                    (name, "full", vec![format!("tasks.names=[\"{task}\"]")])
                };
                tasks.iter().map(single).collect()
            } else {
                vec![(format!("{method}-{seed}"), method.as_str(), Vec::new())]
            };
            let mut names = Vec::new();
            for (name, method, only) in parts {
                let mut overrides = vec![format!("method.name={method}"), format!("seed={seed}")];
                let rates = arguments.rate.iter().filter(|(of, _)| of == method);
                overrides
                    .extend(rates.map(|(_, rate)| format!("optimizer.learning_rate={rate:?}")));
                overrides.extend(arguments.set.iter().cloned());
                overrides.extend(only);
                runs.push((name.clone(), config::load(&arguments.config, &overrides)?));
                names.push(name);
            }
            plan.push((method.clone(), *seed, names));
        }
    }
    let outcomes = compare(&runs, &arguments.out, arguments.device)?;
    let rows: Vec<Row> = rows(&plan, &outcomes)?;
    if let Some(file) = &arguments.report {
        fs::write(file, table::markdown(&rows))?;
    }
    writeln!(io::stdout(), "{}", table::text(&rows))?;
    Ok(())
}
