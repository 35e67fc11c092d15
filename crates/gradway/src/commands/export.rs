//! `gradway export`: what a run trained, without the run.

use std::path::{Path, PathBuf};

use anyhow::Result;
use burn::module::AutodiffModule;
use burn::tensor::{Distribution, Tensor};
use clap::Args;
use gradway::adapters::{Method, SavedAdapter, Selected};
use gradway::backbone::{Phase, export};
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::{Same, TrainBackend};
use gradway::report::thousands;
use gradway::trainer::config::TaskConfig;
use gradway::trainer::{
    DetectionTask, Model, MultiTask, RunConfig, RunDirectory, SegmentationTask, Task,
};
use serde::Serialize;

use crate::output::{print_json, print_line, write_tensors};

/// Images that both forms are compared on.
const IMAGES: [usize; 4] = [2, 3, 224, 224];

/// Take out of a run what it made of the backbone: the adapter, or a backbone with it merged in.
///
/// The adapter is a folder of `adapter.json` (method, fields, hash of the base) and
/// `adapter.safetensors`. A merged backbone is one .safetensors file with the backbone's public names
/// and its output norms as `norm0`..`norm3`; the greatest difference that merging makes to the features
/// of random images is printed.
#[derive(Debug, Args)]
pub struct Export {
    /// Folder of the run.
    run: PathBuf,
    /// Where to write: a folder, or with --merge a .safetensors file.
    #[arg(long)]
    output: PathBuf,
    /// Merge into the base, where the method allows it.
    #[arg(long)]
    merge: bool,
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
    output: PathBuf,
    method: &'static str,
    parameters: usize,
    base: String,
    /// Between features before and after merging.
    #[serde(skip_serializing_if = "Option::is_none")]
    greatest_difference: Option<f64>,
    /// Of the features.
    #[serde(skip_serializing_if = "Option::is_none")]
    greatest_magnitude: Option<f64>,
}

impl Export {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let json = self.json;
        let report = run_on(self.device, self)??;
        if json {
            return print_json(&report);
        }
        print_line(format_args!(
            "{}: {} parameters of {} for base {}",
            report.output.display(),
            thousands(report.parameters),
            report.method,
            report.base
        ))?;
        if let (Some(difference), Some(magnitude)) =
            (report.greatest_difference, report.greatest_magnitude)
        {
            print_line(format_args!(
                "greatest difference of the features {difference:.2e}, of magnitudes up to {magnitude:.2e}"
            ))?;
        }
        Ok(())
    }
}

impl Job for Export {
    type Output = Result<Report>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<Report> {
        let (directory, config) = RunDirectory::open(&self.run)?;
        match config.task {
            TaskConfig::Segmentation(_) => {
                self.of::<B, SegmentationTask>(&directory, &config, &device)
            }
            TaskConfig::Detection(_) => self.of::<B, DetectionTask>(&directory, &config, &device),
            TaskConfig::MultiTask(_) => self.of::<B, MultiTask>(&directory, &config, &device),
        }
    }
}

impl Export {
    fn of<B: TrainBackend, T: Task<B>>(
        self,
        directory: &RunDirectory,
        config: &RunConfig,
        device: &B::Device,
    ) -> Result<Report> {
        let file = directory.checkpoint_file(self.last);
        let (model, _) = Model::<B, T>::open(config, &file, device)?;
        let tuned = &model.trainable.method;
        let mut report = Report {
            output: self.output.clone(),
            method: config.method.descriptor().name,
            parameters: gradway::adapters::count(tuned).total,
            base: model.base().to_string(),
            greatest_difference: None,
            greatest_magnitude: None,
        };
        if !self.merge {
            let method = model.method().clone();
            let base = (config.backbone.name.as_str(), model.base());
            let adapter = SavedAdapter::of(base, method, tuned, model.unread());
            adapter.save(&self.output)?;
            return Ok(report);
        }
        let merged = config.method.merge(tuned)?.valid();
        let images = Tensor::random(IMAGES, Distribution::Normal(0.0, 1.0), device);
        let plain = tuned.valid();
        let apart = model.encoder.features_inference(&plain, images.clone());
        let apart = apart.of_task(0);
        let together = merged.features::<B::InnerBackend, Same>(None, images, Phase::Inference);
        let (mut difference, mut magnitude) = (0.0_f64, 0.0_f64);
        for (apart, together) in apart.into_iter().zip(together) {
            let largest = |x: Tensor<_, 4>| x.abs().max().into_data().iter::<f64>().sum::<f64>();
            magnitude = magnitude.max(largest(apart.clone()));
            difference = difference.max(largest(apart - together));
        }
        report.greatest_difference = Some(difference);
        report.greatest_magnitude = Some(magnitude);
        write_merged(&self.output, &merged)?;
        Ok(report)
    }
}

fn write_merged<B: gradway::kernels::KernelBackend>(
    path: &Path,
    merged: &Selected<B>,
) -> Result<()> {
    let mut tensors = export(&merged.backbone);
    for (stage, norm) in merged.norms.norms.iter().enumerate() {
        let parts = [("weight", Some(&norm.gamma)), ("bias", norm.beta.as_ref())];
        for (name, param) in parts {
            if let Some(param) = param {
                tensors.insert(format!("norm{stage}.{name}"), param.val().into_data());
            }
        }
    }
    write_tensors(path, &tensors)
}
