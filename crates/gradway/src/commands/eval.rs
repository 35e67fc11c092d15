//! `gradway eval`: the scores of a run.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use gradway::device::{DeviceName, Job, run_on};
use gradway::fetching::fetched;
use gradway::kernels::TrainBackend;
use gradway::report::count;
use gradway::run::provenance;
use gradway::trainer::{Evaluation, Provenance, RunConfig, RunDirectory, evaluate_run, with_task};
use serde::Serialize;

use crate::output::print_json;
use crate::view::ScoreView;

/// Evaluate a run on its validation split.
#[derive(Debug, Args)]
pub struct Eval {
    /// Run directory.
    run: PathBuf,
    /// Use the newest checkpoint instead of the best one.
    #[arg(long)]
    last: bool,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
pub struct EvalReport {
    run: PathBuf,
    step: usize,
    classes: Vec<String>,
    #[serde(flatten)]
    evaluation: Evaluation,
    provenance: Provenance,
}

impl Eval {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let (json, which) = (self.json, if self.last { "newest" } else { "best" });
        let (config, report) = run_on(self.device, self)??;
        if json {
            return print_json(&report);
        }
        let of = format!(
            "over {} ({which} checkpoint, step {})",
            count(report.evaluation.images, "image"),
            report.step
        );
        let scores = &report.evaluation.scores;
        with_task!(config.task, T => T::print_scores(scores, &report.classes, &of))
    }
}

impl Job for Eval {
    type Output = Result<(RunConfig, EvalReport)>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output {
        let (directory, config) = RunDirectory::open(&self.run)?;
        let config = fetched(&config)?;
        let file = directory.checkpoint_file(self.last)?;
        let (evaluation, state) = evaluate_run::<B>(&config, &file, &device)?;
        let report = EvalReport {
            run: self.run,
            step: state.step,
            classes: state.labels.classes,
            evaluation,
            provenance: provenance::<B>(&config, &device, self.device),
        };
        Ok((config, report))
    }
}
