//! `gradway train`: a run from a configuration.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::progress::TerminalProgress;
use gradway::trainer::{Provenance, RunConfig, RunDirectory, RunOutcome, config, train};

use crate::output::{mebibytes, print_json, print_line, thousands};

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
        };
        let outcome = run_on(self.device, job)??;
        if self.json {
            return print_json(&outcome);
        }
        print_line(format_args!(
            "run                   {}",
            directory.path().display()
        ))?;
        print_line(format_args!("method                {}", outcome.method))?;
        print_line(format_args!(
            "trainable parameters  {} + {} of the head",
            thousands(outcome.parameters.total),
            thousands(outcome.head_parameters)
        ))?;
        print_line(format_args!(
            "peak MiB              {}",
            mebibytes(outcome.peak_bytes)
        ))?;
        print_line(format_args!(
            "seconds per step      {:.3}",
            outcome.seconds_per_step
        ))?;
        print_line(format_args!(
            "mean IoU              {:.2} % (best {:.2} %)",
            100.0 * outcome.last.scores.mean_iou,
            100.0 * outcome.best_mean_iou
        ))
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

struct TrainJob<'a> {
    directory: &'a RunDirectory,
    config: &'a RunConfig,
    device: DeviceName,
}

impl Job for TrainJob<'_> {
    type Output = Result<RunOutcome>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<RunOutcome> {
        let provenance = Provenance::new(self.config, B::name(&device), self.device);
        let mut progress = TerminalProgress::default();
        Ok(train::<B>(
            self.config,
            self.directory,
            &device,
            provenance,
            &mut progress,
        )?)
    }
}
