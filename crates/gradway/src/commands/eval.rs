//! `gradway eval`: the scores of a run.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::trainer::{
    Evaluation, Provenance, RunDirectory, Segmentation, evaluate, validation_loader,
};
use serde::Serialize;

use gradway::report::{Align, percent, table};

use crate::output::{print_json, print_line};

/// Score a run on its validation split.
#[derive(Debug, Args)]
pub struct Eval {
    /// Folder of the run.
    run: PathBuf,
    /// The newest checkpoint instead of the best one.
    #[arg(long)]
    last: bool,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
pub struct Report {
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
        let json = self.json;
        let report = run_on(self.device, self)??;
        if json {
            return print_json(&report);
        }
        let scores = &report.evaluation.scores;
        let rows: Vec<Vec<String>> = report
            .classes
            .iter()
            .zip(&scores.iou)
            .map(|(name, iou)| vec![name.clone(), percent(*iou)])
            .collect();
        print_line(table(
            &[("class", Align::Left), ("IoU %", Align::Right)],
            &rows,
        ))?;
        print_line(format_args!(
            "mean IoU {}, pixel accuracy {}, mean accuracy {} % over {} images",
            percent(Some(scores.mean_iou)),
            percent(Some(scores.pixel_accuracy)),
            percent(Some(scores.mean_accuracy)),
            report.evaluation.images
        ))
    }
}

impl Job for Eval {
    type Output = Result<Report>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<Report> {
        let (directory, config) = RunDirectory::open(&self.run)?;
        let loader = validation_loader(&config)?;
        let file = directory.checkpoint_file(self.last);
        let (model, state) = Segmentation::<B>::open(&config, &file, &device)?;
        let evaluation = evaluate(&model, &loader, &device, |_| {})?;
        Ok(Report {
            run: self.run,
            step: state.step,
            classes: state.classes,
            evaluation,
            provenance: Provenance::new(&config, B::name(&device), self.device),
        })
    }
}
