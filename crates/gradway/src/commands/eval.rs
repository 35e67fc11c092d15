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
    /// Override a key of the run's configuration, such as `evaluation.flip=true` or `data.root=PATH`. Keys of
    /// training are refused.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
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
    /// The overrides that it was evaluated with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set: Vec<String>,
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
        let mut how = vec![
            format!("{which} checkpoint"),
            format!("step {}", report.step),
        ];
        how.extend(report.set);
        let images = count(report.evaluation.images, "image");
        let of = format!("over {images} ({})", how.join(", "));
        let scores = &report.evaluation.scores;
        with_task!(config.task, T => T::print_scores(scores, &report.classes, &of))
    }
}

impl Job for Eval {
    type Output = Result<(RunConfig, EvalReport)>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output {
        let (directory, config) = RunDirectory::open_under(&self.run, &self.set)?;
        let config = fetched(&config)?;
        let file = directory.checkpoint_file(self.last)?;
        let (evaluation, state) = evaluate_run::<B>(&config, &file, &device)?;
        let report = EvalReport {
            run: self.run,
            set: self.set,
            step: state.step,
            classes: state.labels.classes,
            evaluation,
            provenance: provenance::<B>(&config, &device, self.device),
        };
        Ok((config, report))
    }
}
