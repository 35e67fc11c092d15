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
use gradway::data::DenseTask;
use gradway::device::DeviceName;
use gradway::trainer::memory::{self, CountingAllocator};
use gradway::trainer::{RunConfig, config};

use table::{Row, SINGLE, rows};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What trains every task alone.
const ALONE: &str = "full";

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

impl Arguments {
    /// What is trained by a method, of the configuration's tasks or only one.
    fn run(&self, method: &str, seed: u64, only: Option<DenseTask>) -> Result<RunConfig> {
        let mut overrides = vec![format!("method.name={method}"), format!("seed={seed}")];
        let rates = self.rate.iter().filter(|(of, _)| of == method);
        overrides.extend(rates.map(|(_, rate)| format!("optimizer.learning_rate={rate:?}")));
        overrides.extend(self.set.iter().cloned());
        overrides.extend(only.map(|task| format!("tasks.names=[\"{task}\"]")));
        Ok(config::load(&self.config, &overrides)?)
    }

    /// The runs of a method and a seed, by name.
    fn runs(&self, method: &str, seed: u64) -> Result<Vec<(String, RunConfig)>> {
        if method != SINGLE {
            return Ok(vec![(
                format!("{method}-{seed}"),
                self.run(method, seed, None)?,
            )]);
        }
        let all = self.run(ALONE, seed, None)?;
        let tasks = all.task.multi_task()?.tasks.tasks().into_iter();
        let single = |task| {
            let name = format!("{SINGLE}-{task}-{seed}");
            Ok((name, self.run(ALONE, seed, Some(task))?))
        };
        tasks.map(single).collect()
    }
}

fn main() -> Result<()> {
    memory::keep_freed_memory();
    let arguments = Arguments::parse();
    let mut runs = Vec::new();
    let mut plan: Vec<(String, u64, Vec<String>)> = Vec::new();
    for &seed in &arguments.seeds {
        for method in &arguments.methods {
            let own = arguments.runs(method, seed)?;
            let names = own.iter().map(|(name, _)| name.clone()).collect();
            plan.push((method.clone(), seed, names));
            runs.extend(own);
        }
    }
    let outcomes = compare(&runs, &arguments.out, arguments.device)?;
    let rows: Vec<Row> = rows(&plan, &outcomes)?;
    let table = table::table(&rows);
    if let Some(file) = &arguments.report {
        fs::write(file, table.markdown())?;
    }
    writeln!(io::stdout(), "{table}")?;
    Ok(())
}
