//! `gradway eval`: the scores of a run.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::run::provenance;
use gradway::trainer::{Evaluation, Provenance, RunDirectory, Scores, evaluate_run};
use serde::Serialize;

use gradway::report::{detection_classes, detection_table, headlines, percent, task_table};
use gradway::table::{Align, Table};

use crate::output::{print_json, print_line};

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
        let report = run_on(self.device, self)??;
        if json {
            return print_json(&report);
        }
        let of = format!(
            "over {} images ({which} checkpoint, step {})",
            report.evaluation.images, report.step
        );
        match &report.evaluation.scores {
            Scores::Segmentation(scores) => {
                let names = report.classes.iter().cloned();
                print_classes("IoU %", names.zip(scores.iou.iter().copied()))?;
                print_line(format_args!(
                    "mean IoU {}, pixel accuracy {}, mean accuracy {} % {of}",
                    percent(Some(scores.mean_iou)),
                    percent(Some(scores.pixel_accuracy)),
                    percent(Some(scores.mean_accuracy)),
                ))
            }
            Scores::Objects(scores) => {
                for (what, scores) in [
                    ("boxes", Some(&scores.boxes)),
                    ("masks", scores.masks.as_ref()),
                ] {
                    if let Some(scores) = scores {
                        print_line(format_args!(
                            "{what}\n{}\n\n{}\n",
                            detection_table(scores),
                            detection_classes(scores)
                        ))?;
                    }
                }
                print_line(format_args!(
                    "{} {of}",
                    headlines(&report.evaluation.scores)
                ))
            }
            Scores::MultiTask(scores) => {
                print_line(task_table(scores))?;
                if let Some(improvement) = scores.relative_improvement {
                    print_line(format_args!(
                        "{} % better than each task alone",
                        percent(Some(improvement))
                    ))?;
                }
                print_line(of)
            }
        }
    }
}

/// A row for every class.
fn print_classes(heading: &str, scores: impl Iterator<Item = (String, Option<f64>)>) -> Result<()> {
    let rows: Vec<Vec<String>> = scores
        .map(|(name, score)| vec![name, percent(score)])
        .collect();
    print_line(Table::new(
        &[("class", Align::Left), (heading, Align::Right)],
        rows,
    ))
}

impl Job for Eval {
    type Output = Result<EvalReport>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<EvalReport> {
        let (directory, config) = RunDirectory::open(&self.run)?;
        let file = directory.checkpoint_file(self.last);
        let (evaluation, state) = evaluate_run::<B>(&config, &file, &device)?;
        Ok(EvalReport {
            run: self.run,
            step: state.step,
            classes: state.labels.classes,
            evaluation,
            provenance: provenance::<B>(&config, &device, self.device),
        })
    }
}
