//! Comparison of methods over several seeds: the common part of experiments.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser};
use gradway_trainer::config::{Overrides, Source};

use crate::compare::{check_method, compare};
use crate::device::DeviceName;
use crate::report;
use crate::summary;
use crate::terminal::{note, print};

/// The description and defaults of an experiment.
#[derive(Debug, Clone, Copy)]
pub struct Experiment {
    /// Description for its help, in one sentence.
    pub about: &'static str,
    /// Default of its configuration.
    pub config: &'static str,
    /// Default of the folder of its runs.
    pub out: &'static str,
}

#[derive(Debug, Parser)]
#[command(after_help = "A comparison that was stopped resumes when it is started again.")]
struct Arguments {
    /// Output directory of the runs.
    #[arg(long)]
    out: PathBuf,
    /// Configuration file (TOML).
    #[arg(long)]
    config: PathBuf,
    /// Methods to train, separated by commas; see `gradway list methods`.
    #[arg(long, value_delimiter = ',', default_value = "fixed,e3va,full")]
    methods: Vec<String>,
    /// Seeds, separated by commas. Every method is trained once per seed.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    seeds: Vec<u32>,
    /// Override a key of the configuration, such as `train.epochs=1`. A key of `method` applies to the methods
    /// that have it.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Write `table.md` and `plot.svg`, with the means over the seeds, to this directory.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

impl Experiment {
    /// Reads the command line, trains every method with every seed in folders `METHOD-SEED`, and prints a
    /// table.
    ///
    /// `settings` returns the overrides that a method needs; those of the command line take precedence. An
    /// experiment that was stopped resumes when it is started again.
    ///
    /// # Errors
    ///
    /// If a run fails, or a file cannot be written.
    pub fn run(self, settings: impl Fn(&str) -> Vec<String>) -> Result<()> {
        let command = Arguments::command()
            .about(self.about)
            .mut_arg("out", |argument| {
                argument.default_value(self.out).required(false)
            })
            .mut_arg("config", |argument| {
                argument.default_value(self.config).required(false)
            });
        let matches = command.get_matches();
        let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        arguments.run(settings)
    }
}

impl Arguments {
    fn run(&self, settings: impl Fn(&str) -> Vec<String>) -> Result<()> {
        let source = Source::file(&self.config)?;
        let methods = Overrides::set(&self.set)?.by_method("--methods", &self.methods)?;
        for method in methods.iter().filter(|method| !method.left_out.is_empty()) {
            let keys = method.left_out.join(", ");
            note(format_args!("{} has no {keys}", method.method));
        }
        let mut runs = Vec::new();
        for seed in &self.seeds {
            for method in &methods {
                let name = &method.method;
                let mut overrides = method.overrides.clone();
                overrides.choose("--seeds", "seed", i64::from(*seed))?;
                for entry in settings(name) {
                    overrides.propose("the experiment", &entry)?;
                }
                let config = source.clone().under(overrides).config()?;
                check_method(&config)??;
                runs.push((format!("{name}-{seed}"), config));
            }
        }
        let outcomes = compare(&runs, &self.out, self.device)?;
        if let Some(folder) = &self.report {
            fs::create_dir_all(folder)?;
            let methods = summary::by_method(&outcomes);
            fs::write(folder.join("table.md"), summary::table(&methods).markdown())?;
            summary::plot(&methods, &folder.join("plot.svg"))?;
        }
        let text = if self.json {
            serde_json::to_string_pretty(&outcomes)?
        } else {
            report::comparison(&outcomes).to_string()
        };
        print(text)
    }
}
