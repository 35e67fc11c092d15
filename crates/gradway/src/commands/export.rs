//! `gradway export`: what a run trained, without the run.

use std::path::{Path, PathBuf};

use anyhow::Result;
use burn::module::AutodiffModule;
use burn::tensor::{Distribution, Tensor};
use clap::Args;
use gradway::adapters::{Around, SavedAdapter, Selected};
use gradway::backbone::{Phase, export, export_header};
use gradway::device::{DeviceName, Job, run_on};
use gradway::fetching::fetched;
use gradway::kernels::TrainBackend;
use gradway::report::thousands;
use gradway::trainer::task::TaskJob;
use gradway::trainer::{Model, RunConfig, RunDirectory, Task};
use serde::Serialize;

use crate::output::{print_json, print_line, require_tensor_file, write_tensors};

/// Images that both forms are compared on.
const IMAGES: [usize; 4] = [2, 3, 224, 224];

/// Export the adapter of a run, or a backbone with the adapter merged in.
///
/// An adapter is a directory with `adapter.json` (method, its settings, hash of the base weights) and
/// `adapter.safetensors`. A merged backbone is one .safetensors file with the backbone's public parameter names
/// and its output norms as `norm0`, `norm1`, ... With --merge, the command prints the largest difference between
/// the features before and after merging, on random images.
#[derive(Debug, Args)]
pub struct Export {
    /// Run directory.
    run: PathBuf,
    /// Output directory, or with --merge the output file (.safetensors).
    #[arg(long)]
    output: PathBuf,
    /// Merge the adapter into the backbone, if the method supports it.
    #[arg(long)]
    merge: bool,
    /// Use the newest checkpoint instead of the best one.
    #[arg(long)]
    last: bool,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
pub struct ExportReport {
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
        if self.merge {
            require_tensor_file(&self.output)?;
        }
        let json = self.json;
        let report = run_on(self.device, self)??;
        if json {
            return print_json(&report);
        }
        print_line(format_args!(
            "{}: {} parameters of {} for base weights {}",
            report.output.display(),
            thousands(report.parameters),
            report.method,
            report.base
        ))?;
        if let (Some(difference), Some(magnitude)) =
            (report.greatest_difference, report.greatest_magnitude)
        {
            print_line(format_args!(
                "largest difference of the features: {difference:.2e} (largest magnitude: {magnitude:.2e})"
            ))?;
        }
        Ok(())
    }
}

impl Job for Export {
    type Output = Result<ExportReport>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<ExportReport> {
        let (directory, config) = RunDirectory::open(&self.run)?;
        let config = fetched(&config)?;
        config.task.dispatch::<B, _>(Exporting {
            command: &self,
            directory: &directory,
            config: &config,
            device: &device,
        })
    }
}

/// The command with what it works on.
struct Exporting<'a, B: TrainBackend> {
    command: &'a Export,
    directory: &'a RunDirectory,
    config: &'a RunConfig,
    device: &'a B::Device,
}

impl<B: TrainBackend> TaskJob<B> for Exporting<'_, B> {
    type Output = Result<ExportReport>;

    fn run<T: Task<B>>(self) -> Result<ExportReport> {
        let Self {
            command,
            directory,
            config,
            device,
        } = self;
        let file = directory.checkpoint_file(command.last)?;
        let (model, state) = Model::<B, T>::open(config, &file, device)?;
        let tuned = &model.trainable.method;
        let mut report = ExportReport {
            output: command.output.clone(),
            method: config.method.descriptor().name,
            parameters: gradway::adapters::count(tuned).total,
            base: model.base().to_string(),
            greatest_difference: None,
            greatest_magnitude: None,
        };
        if !command.merge {
            let method = model.method().clone();
            let base = (&config.backbone, model.base());
            let adapter = SavedAdapter::of(base, method, tuned, model.unread());
            let tasks = state.labels.tasks.iter();
            let tasks = tasks.map(|labels| labels.task.name().to_string());
            let adapter = adapter.with_tasks(tasks.collect());
            adapter.save(&command.output)?;
            return Ok(report);
        }
        let merged = config.method.merge(tuned)?.valid();
        let images = Tensor::random(IMAGES, Distribution::Normal(0.0, 1.0), device);
        let plain = tuned.valid();
        let apart = model.encoder.features_inference(&plain, images.clone());
        let apart = apart.of_task(0);
        let together = merged.features(images, Phase::Inference);
        let (mut difference, mut magnitude) = (0.0_f64, 0.0_f64);
        for (apart, together) in apart.into_iter().zip(together) {
            let largest = |x: Tensor<_, 4>| x.abs().max().into_data().iter::<f64>().sum::<f64>();
            magnitude = magnitude.max(largest(apart.clone()));
            difference = difference.max(largest(apart - together));
        }
        report.greatest_difference = Some(difference);
        report.greatest_magnitude = Some(magnitude);
        write_merged(&command.output, &merged)?;
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
    write_tensors(path, &tensors, Some(export_header(&merged.backbone)))
}
