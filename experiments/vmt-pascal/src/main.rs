//! Many dense tasks by one model, against every task alone: what each method gains and what it takes.
//!
//! Of every seed it trains one model per task with full fine-tuning (`single`), then one model of all tasks
//! by every method, and prints scores, the relative improvement over `single`, parameters, memory and time.

mod table;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use gradway::compare::compare;
use gradway::data::DenseTask;
use gradway::device::DeviceName;
use gradway::terminal::{self, note};
use gradway::trainer::RunConfig;
use gradway::trainer::config::{MethodOverrides, Overrides, Source};
use gradway::trainer::memory::{self, CountingAllocator};

use table::{Row, SINGLE, rows};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What trains every task alone.
const ALONE: &str = "full";

/// Train many dense tasks with several methods and print a table.
#[derive(Debug, Parser)]
#[command(after_help = "A comparison that was stopped resumes when it is started again.")]
struct Arguments {
    /// Output directory of the runs.
    #[arg(long, default_value = "runs/vmt")]
    out: PathBuf,
    /// Configuration file (TOML).
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/scenes.toml"))]
    config: PathBuf,
    /// Methods to train, separated by commas; see `gradway list methods`. `single` trains one model per task
    /// with full fine-tuning; the relative improvement is measured against it.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "single,full,fixed,vmt_adapter,vmt_adapter_lite,vmt_highway"
    )]
    methods: Vec<String>,
    /// Seeds, separated by commas. Every method is trained once per seed.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    seeds: Vec<u32>,
    /// Learning rate of one method, such as `full=2e-3`. It takes precedence over --set. Pre-trained weights need
    /// a smaller rate than parameters that start at random.
    #[arg(long, value_name = "METHOD=RATE", value_parser = rate)]
    rate: Vec<(String, f64)>,
    /// Override a key of the configuration, such as `train.epochs=1`. A key of `method` applies to the methods
    /// that have it.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Write the table to this Markdown file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn rate(text: &str) -> Result<(String, f64), String> {
    let (method, rate) = text.split_once('=').ok_or("expected METHOD=RATE")?;
    let rate = rate.parse().map_err(|error| format!("`{rate}`: {error}"))?;
    Ok((method.to_string(), rate))
}

/// A method of the command line, with what a method of the table needs.
struct Line {
    name: String,
    compared: MethodOverrides,
}

impl Arguments {
    /// The methods; those of the table need a name that is there.
    fn lines(&self) -> Result<Vec<Line>> {
        let of_table = |name: &String| match name == SINGLE {
            true => ALONE.to_string(),
            false => name.clone(),
        };
        let names: Vec<String> = self.methods.iter().map(of_table).collect();
        let compared = Overrides::set(&self.set)?.by_method("--methods", &names)?;
        let lines = self.methods.iter().cloned().zip(compared);
        let lines = lines.map(|(name, compared)| {
            if !compared.left_out.is_empty() {
                let keys = compared.left_out.join(", ");
                note(format_args!("{name} has no {keys}"));
            }
            Line { name, compared }
        });
        Ok(lines.collect())
    }

    /// What is trained by a method, of the configuration's tasks or only one.
    fn run(&self, line: &Line, seed: u32, only: Option<DenseTask>) -> Result<RunConfig> {
        let mut overrides = line.compared.overrides.clone();
        overrides.choose("--seeds", "seed", i64::from(seed))?;
        let method = &line.compared.method;
        // What is said of one method outweighs what is said of all.
        for (of, rate) in self.rate.iter().filter(|(of, _)| of == method) {
            let origin = format!("--rate {of}={rate:?}");
            overrides.put(&origin, "optimizer.learning_rate", *rate)?;
        }
        if let Some(task) = only {
            overrides.put(SINGLE, "tasks.names", vec![task.name()])?;
        }
        Ok(Source::file(&self.config)?.under(overrides).config()?)
    }

    /// The runs of a method and a seed, by name.
    fn runs(&self, line: &Line, seed: u32) -> Result<Vec<(String, RunConfig)>> {
        let name = &line.name;
        let all = self.run(line, seed, None)?;
        if name != SINGLE {
            return Ok(vec![(format!("{name}-{seed}"), all)]);
        }
        let tasks = all.task.multi_task()?.tasks.tasks().into_iter();
        let single = |task| {
            let name = format!("{SINGLE}-{task}-{seed}");
            Ok((name, self.run(line, seed, Some(task))?))
        };
        tasks.map(single).collect()
    }

    fn compare(&self) -> Result<()> {
        let lines = self.lines()?;
        let mut runs = Vec::new();
        let mut plan: Vec<(String, u64, Vec<String>)> = Vec::new();
        for &seed in &self.seeds {
            for line in &lines {
                let own = self.runs(line, seed)?;
                let names = own.iter().map(|(name, _)| name.clone()).collect();
                plan.push((line.name.clone(), seed.into(), names));
                runs.extend(own);
            }
        }
        let outcomes = compare(&runs, &self.out, self.device)?;
        let rows: Vec<Row> = rows(&plan, &outcomes)?;
        let table = table::table(&rows);
        if let Some(file) = &self.report {
            fs::write(file, table.markdown())?;
        }
        terminal::print(table)
    }
}

fn main() -> ExitCode {
    memory::keep_freed_memory();
    terminal::status(Arguments::parse().compare())
}
