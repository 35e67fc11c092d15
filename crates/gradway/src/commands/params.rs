//! `gradway params`: what a method trains.

use std::path::PathBuf;

use anyhow::Result;
use burn::module::Module;
use clap::Args;
use gradway::adapters::{Encoder, Group, GroupCount, Tuned, count, freeze, freeze_unread};
use gradway::backbone::{Backbone, BackboneConfig};
use gradway::data::Split;
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::trainer::config::{self, TaskConfig};
use gradway::trainer::{MultiTask, RunConfig, Task, Trainable};
use serde::Serialize;

use gradway::report::thousands;
use gradway::table::{Align, Table};

use crate::output::{print_json, print_line};

/// Count the trainable parameters of a method on a backbone, by group.
///
/// Of a configuration with the head's, for which the data is opened to count its classes unless --classes
/// says how many there are.
#[derive(Debug, Args)]
pub struct Params {
    /// Configuration (TOML), instead of --backbone and --method.
    config: Option<PathBuf>,
    /// Backbone; see `gradway list backbones`.
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    backbone: Option<String>,
    /// Method; see `gradway list methods`.
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    method: Option<String>,
    /// Classes of the head of a configuration.
    #[arg(long, requires = "config", value_parser = clap::value_parser!(u16).range(1..))]
    classes: Option<u16>,
    /// Tasks that the method serves.
    #[arg(long, default_value_t = 1, conflicts_with = "config", value_parser = clap::value_parser!(u16).range(1..))]
    tasks: u16,
    /// Overrides a key, such as `method.form=kernel`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
pub struct Report {
    backbone: String,
    method: &'static str,
    /// Parameters of the backbone without classifier and output norms.
    backbone_parameters: usize,
    #[serde(flatten)]
    trainable: GroupCount,
    /// Of the head, where there is a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<usize>,
    /// Trainable over the backbone's.
    share: f64,
    /// The groups that the method's publication counts, and their sum.
    published_groups: Vec<Group>,
    published: usize,
}

impl Params {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        // Counting needs no accelerator.
        let json = self.json;
        let report = run_on(DeviceName::default(), self)??;
        if json {
            return print_json(&report);
        }
        let mut groups = vec![
            ("adapter", report.trainable.adapter),
            ("norm", report.trainable.norm),
            ("bias", report.trainable.bias),
            ("other", report.trainable.other),
            ("total", report.trainable.total),
        ];
        groups.extend(report.head.map(|head| ("head", head)));
        let rows: Vec<Vec<String>> = groups
            .iter()
            .map(|(name, number)| vec![name.to_string(), thousands(*number)])
            .collect();
        print_line(Table::new(
            &[("trainable", Align::Left), ("parameters", Align::Right)],
            rows,
        ))?;
        print_line(format_args!(
            "{:.3} % of the {} of {}",
            100.0 * report.share,
            thousands(report.backbone_parameters),
            report.backbone
        ))?;
        if report.published_groups.is_empty() {
            return Ok(());
        }
        let groups: Vec<&str> = report.published_groups.iter().map(Group::name).collect();
        print_line(format_args!(
            "publications count {}: {}",
            groups.join(" + "),
            thousands(report.published)
        ))
    }
}

impl Job for Params {
    type Output = Result<Report>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<Report> {
        let (backbone, method, config) = match &self.config {
            Some(path) => {
                let config = config::load(path, &self.set)?;
                (config.backbone.clone(), config.method.clone(), Some(config))
            }
            None => {
                let name = self.backbone.as_deref().unwrap_or_default();
                let method = self.method.as_deref().unwrap_or_default();
                let method = config::method(method, &self.set)?;
                (BackboneConfig::named(name), method, None)
            }
        };
        let module = backbone.init::<B::InnerBackend>(&device)?;
        let backbone_parameters = module.num_params();
        let method = match &config {
            Some(config) => method.for_tasks(config.task.tasks()),
            None => method.for_tasks(self.tasks.into()),
        };
        let channels = method.feature_channels(&module.description());
        let (encoder, mut tuned) = Encoder::<B>::new(&method, module, &device)?;
        let mut head = None;
        if let Some(config) = &config {
            (tuned, _) = freeze_unread(&encoder, tuned, |stage| config.task.reads(stage), &device);
            let (trained, parameters) = self.with_head(config, tuned, &channels, &device)?;
            (tuned, head) = (trained, Some(parameters));
        }
        let trainable = count(&tuned);
        let published_groups = method.published_groups().to_vec();
        Ok(Report {
            backbone: backbone.name,
            method: method.descriptor().name,
            backbone_parameters,
            trainable,
            head,
            share: trainable.total as f64 / backbone_parameters as f64,
            published: trainable.of(&published_groups),
            published_groups,
        })
    }
}

impl Params {
    /// What is trained of the method by the task of a configuration, and parameters of its head.
    fn with_head<B: TrainBackend>(
        &self,
        config: &RunConfig,
        tuned: Tuned<B>,
        channels: &[usize],
        device: &B::Device,
    ) -> Result<(Tuned<B>, usize)> {
        let classes = || match self.classes {
            Some(classes) => Ok(usize::from(classes)),
            None => config.data.classes(Split::Train),
        };
        let parameters = match &config.task {
            TaskConfig::Segmentation(task) => {
                count(&task.head.init::<B>(channels, classes()?, device))
            }
            TaskConfig::Detection(task) => {
                count(&task.head.init::<B>(channels, classes()?, device))
            }
            TaskConfig::MultiTask(_) => {
                let loader = <MultiTask as Task<B>>::validation_loader(config)?;
                let labels = <MultiTask as Task<B>>::labels(loader.pipeline());
                let task = <MultiTask as Task<B>>::new(config, &labels)?;
                let head = Task::<B>::head(&task, channels, device);
                let all = Trainable {
                    method: tuned,
                    head,
                };
                let trained = freeze(all, |path| !Task::<B>::trains(&task, path));
                return Ok((trained.method, count(&trained.head).total));
            }
        };
        Ok((tuned, parameters.total))
    }
}
