//! `gradway train`: a run from a configuration.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use gradway::compare::TrainJob;
use gradway::device::{DeviceName, run_on};
use gradway::progress::TerminalProgress;
use gradway::report;
use gradway::trainer::{RunConfig, RunDirectory, config};

use crate::output::{print_json, print_line};

/// Train a model, or go on with a run that was interrupted.
#[derive(Debug, Args)]
pub struct Train {
    /// Configuration (TOML). Left out with --resume, which has the run's own.
    #[arg(required_unless_present = "resume")]
    config: Option<PathBuf>,
    /// Overrides a key of the configuration, such as `method.name=full`.
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "resume")]
    set: Vec<String>,
    /// Folder of an interrupted run to go on with.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Folder of the run; `runs/<name of the configuration>` if not given.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

impl Train {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let (directory, config) = self.directory()?;
        let job = TrainJob {
            directory: &directory,
            config: &config,
            device: self.device,
            progress: TerminalProgress::default(),
        };
        let outcome = run_on(self.device, job)??;
        if self.json {
            return print_json(&outcome);
        }
        let name = directory.path().display().to_string();
        print_line(report::comparison(&[(name, outcome)]))
    }

    fn directory(&self) -> Result<(RunDirectory, RunConfig)> {
        if let Some(path) = &self.resume {
            let (directory, saved) = RunDirectory::open(path)?;
            if let Some(file) = &self.config
                && config::load(file, &[])? != saved
            {
                bail!(
                    "{} differs from {}, which the run in --resume was started with",
                    file.display(),
                    directory.config_file().display()
                );
            }
            return Ok((directory, saved));
        }
        let Some(file) = &self.config else {
            bail!("a configuration or --resume is needed");
        };
        let config = config::load(file, &self.set)?;
        let name = file.file_stem().unwrap_or_default();
        let path = self
            .out
            .clone()
            .unwrap_or_else(|| PathBuf::from("runs").join(name));
        Ok((RunDirectory::create(&path, &config)?, config))
    }
}
