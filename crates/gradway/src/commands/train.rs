//! `gradway train`: a run from a configuration.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use gradway::device::{DeviceName, run_on};
use gradway::progress::TerminalProgress;
use gradway::report;
use gradway::run::TrainJob;
use gradway::trainer::config::{self, Overrides, Source};
use gradway::trainer::{RunConfig, RunDirectory, TrainError, is_resolved_as};

use crate::output::{print_json, print_line};

/// Train a model, or resume a run.
#[derive(Debug, Args)]
pub struct Train {
    /// Configuration file (TOML). Not needed with --resume, which uses the configuration of the run.
    #[arg(required_unless_present = "resume")]
    config: Option<PathBuf>,
    /// Override a key of the configuration, such as `method.name=full`. A table, such as
    /// `schedule.decay={ name = "cosine" }`, replaces the table of the configuration.
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "resume")]
    set: Vec<String>,
    /// Directory of the run to resume.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Run directory. [default: `runs/NAME`, where NAME is the configuration's file name without its extension]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Replace the run in the run directory. Files that do not belong to the run are kept.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Train {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let start = self.start()?;
        let job = TrainJob {
            directory: &start.directory,
            config: &start.config,
            device: self.device,
            progress: TerminalProgress::default(),
        };
        let outcome = run_on(self.device, job)?.map_err(|error| start.blame(error))?;
        if self.json {
            return print_json(&outcome);
        }
        let name = start.directory.path().display().to_string();
        print_line(report::comparison(&[(name, outcome)]))
    }

    fn start(&self) -> Result<Start> {
        if let Some(path) = &self.resume {
            let (directory, saved) = RunDirectory::open(path)?;
            if let Some(file) = &self.config
                && !is_resolved_as(&config::load(file, &[])?, &saved)
            {
                bail!(
                    "{} differs from {}, the configuration of the run to resume",
                    file.display(),
                    directory.config_file().display()
                );
            }
            return Ok(Start {
                source: Source::file(&directory.config_file())?,
                directory,
                config: saved,
            });
        }
        let Some(file) = &self.config else {
            bail!("expected a configuration file or --resume");
        };
        let source = Source::file(file)?.under(Overrides::set(&self.set)?);
        let config = source.config()?;
        let name = file.file_stem().unwrap_or_default();
        let path = self
            .out
            .clone()
            .unwrap_or_else(|| PathBuf::from("runs").join(name));
        let directory = match self.overwrite {
            true => RunDirectory::replace(&path, &config)?,
            false => RunDirectory::create(&path, &config)?,
        };
        Ok(Start {
            directory,
            config,
            source,
        })
    }
}

/// What is trained, where, and where it was read.
struct Start {
    directory: RunDirectory,
    config: RunConfig,
    source: Source,
}

impl Start {
    /// An error with the file or override that has the key it speaks of.
    fn blame(&self, error: TrainError) -> TrainError {
        self.source.blame(error)
    }
}
