//! `gradway bench`: what a training step of each method costs.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use gradway::adapters;
use gradway::compare::check_method;
use gradway::device::{DeviceName, Job, run_on};
use gradway::fetching::fetched;
use gradway::kernels::TrainBackend;
use gradway::report::{mebibytes, percent, thousands};
use gradway::run::provenance;
use gradway::table::Table;
use gradway::terminal::note;
use gradway::trainer::config::{self, MethodOverrides, Overrides, Source};
use gradway::trainer::{Provenance, RunConfig, StepBytes, StepCost, TrainError, step_cost};
use serde::{Deserialize, Serialize};

use crate::output::{print_json, print_line};

const CONFIG: &str = include_str!("bench.toml");

/// What the others are compared with.
const FULL: &str = "full";

/// Measure a training step of each method.
///
/// Each method runs in its own process.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the peak memory of a step, split into weights, gradients, optimiser state and activations.
    Memory(Measure),
    /// Measure the time of a step in seconds.
    Speed(Measure),
    /// Measure the method of the configuration on standard input, in this process, and print JSON.
    #[command(hide = true)]
    Row(Row),
}

#[derive(Debug, Args)]
struct Measure {
    /// Configuration file (TOML). Its method is replaced by each method in turn. [default: Swin-T, 224 x 224,
    /// batch size 4]
    config: Option<PathBuf>,
    /// Methods to measure, separated by commas. [default: every method of `gradway list methods` that supports
    /// the backbone]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    methods: Vec<String>,
    /// Number of timed steps per method, after one warm-up step.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Override a key of the configuration, such as `loader.batch_size=2`. A key of `method` applies to the
    /// methods that have it.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Row {
    #[arg(long)]
    steps: usize,
    #[arg(long)]
    device: DeviceName,
}

/// What was measured of a method.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    #[serde(flatten)]
    cost: StepCost,
    provenance: Provenance,
}

impl Bench {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Memory(measure) => measure.run(memory_table),
            Command::Speed(measure) => measure.run(speed_table),
            Command::Row(row) => row.run(),
        }
    }
}

impl Measure {
    fn run(self, table: fn(&[Measured]) -> Table) -> Result<()> {
        let mut rows = Vec::new();
        for config in self.configs()? {
            let method = config.method.descriptor().name;
            note(format_args!("{method} ..."));
            let row = self.measure(&config);
            rows.push(row.with_context(|| format!("method `{method}`"))?);
        }
        if self.json {
            return print_json(&rows);
        }
        print_line(table(&rows))
    }

    /// The configuration of each method: those that are named, which must fit the backbone, or all that do.
    fn configs(&self) -> Result<Vec<RunConfig>> {
        const OPTION: &str = "--methods";
        let all: Vec<&str> = adapters::table().iter().map(|line| line.name).collect();
        let set = Overrides::set(&self.set)?;
        let compared = match self.methods.is_empty() {
            true => set.by_method(OPTION, &all)?,
            false => set.by_method(OPTION, &self.methods)?,
        };
        let source = match &self.config {
            Some(path) => Source::file(path)?,
            None => Source::text(CONFIG, "the embedded configuration")?,
        };
        let mut configs = Vec::new();
        for method in compared {
            let MethodOverrides {
                method,
                overrides,
                left_out,
            } = method;
            let config = source.clone().under(overrides).config()?;
            match check_method(&config)? {
                Err(misfit @ TrainError::Method(_)) if self.methods.is_empty() => {
                    note(format_args!("skipped: {misfit}"));
                    continue;
                }
                checked => checked?,
            }
            if !left_out.is_empty() {
                let keys = left_out.join(", ");
                note(format_args!("{method} has no {keys}"));
            }
            // Here and once, so that the processes of all methods find the same weights in the cache.
            configs.push(match configs.first() {
                None => fetched(&config)?,
                Some(RunConfig { backbone, .. }) => RunConfig {
                    backbone: backbone.clone(),
                    ..config
                },
            });
        }
        Ok(configs)
    }

    /// A method in a process of its own, which reads its configuration.
    fn measure(&self, config: &RunConfig) -> Result<Measured> {
        let mut process = Process::new(std::env::current_exe()?);
        process.args(["bench", "row", "--steps", &self.steps.to_string()]);
        process.args(["--device", &self.device.to_string()]);
        process.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = process.spawn()?;
        if let Some(mut input) = process.stdin.take() {
            input.write_all(config::to_toml(config)?.as_bytes())?;
        }
        let output = process.wait_with_output()?;
        if !output.status.success() {
            bail!("its process ended with {}", output.status);
        }
        serde_json::from_slice(&output.stdout).context("cannot parse the output of its process")
    }
}

impl Row {
    fn run(self) -> Result<()> {
        let device = self.device;
        print_json(&run_on(device, self)??)
    }
}

impl Job for Row {
    type Output = Result<Measured>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<Measured> {
        let text = io::read_to_string(io::stdin())?;
        let config = config::parse(&text, "standard input", &[])?;
        let cost = step_cost::<B>(&config, self.steps, &device)?;
        let provenance = provenance::<B>(&config, &device, self.device);
        Ok(Measured { cost, provenance })
    }
}

/// Bytes by what they hold, and the share that is saved of those of `full`, where that is a row.
pub fn memory_table(rows: &[Measured]) -> Table {
    let peak = |row: &Measured| row.cost.bytes.map(|bytes| bytes.peak as f64);
    let full = rows.iter().find(|row| row.cost.method == FULL);
    let full = full.and_then(peak);
    let cells = |row: &Measured| {
        let mut cells = vec![
            row.cost.method.clone(),
            thousands(row.cost.parameters),
            mebibytes(row.cost.bytes.map(|bytes| bytes.peak)),
        ];
        let parts = row.cost.bytes.map(|bytes| {
            let StepBytes {
                weights,
                gradients,
                optimizer,
                activations,
                ..
            } = bytes;
            [weights, gradients, optimizer, activations]
        });
        let parts = parts.map_or([None; 4], |parts| parts.map(Some));
        cells.extend(parts.map(mebibytes));
        let saved = peak(row).zip(full).map(|(here, full)| 1.0 - here / full);
        cells.extend(full.map(|_| percent(saved)));
        cells
    };
    let heading = [
        "method",
        "trainable",
        "peak MiB",
        "weights",
        "gradients",
        "optimiser",
        "activations",
    ];
    let heading = heading.into_iter().chain(full.map(|_| "saved %"));
    Table::of_numbers(heading, rows.iter().map(cells).collect())
}

/// Seconds, and their ratio to those of `full`, where that is a row.
pub fn speed_table(rows: &[Measured]) -> Table {
    let full = rows.iter().find(|row| row.cost.method == FULL);
    let cells = |Measured { cost, .. }: &Measured| {
        let all = || cost.all_seconds.iter().copied();
        let seconds = [
            cost.seconds,
            all().fold(f64::INFINITY, f64::min),
            all().fold(0.0, f64::max),
        ];
        let mut cells = vec![cost.method.clone(), thousands(cost.parameters)];
        cells.extend(seconds.map(|seconds| format!("{seconds:.3}")));
        cells.extend(full.map(|full| format!("{:.2}", cost.seconds / full.cost.seconds)));
        cells
    };
    let heading = [
        "method",
        "trainable",
        "seconds per step",
        "fastest",
        "slowest",
    ];
    let heading = heading.into_iter().chain(full.map(|_| "of full"));
    Table::of_numbers(heading, rows.iter().map(cells).collect())
}
