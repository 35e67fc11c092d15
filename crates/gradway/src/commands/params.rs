//! `gradway params`: what a method trains.

use std::path::PathBuf;

use anyhow::Result;
use burn::module::Module;
use clap::Args;
use gradway::adapters::{Encoder, Group, GroupCount, count};
use gradway::backbone::BackboneConfig;
use gradway::data::Split;
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::trainer::config;
use gradway::trainer::task::TaskJob;
use gradway::trainer::{Labels, Model, RunConfig, Task};
use serde::Serialize;

use gradway::report::thousands;
use gradway::table::{Align, Table};

use crate::output::{print_json, print_line};

/// Count the trainable parameters of a method on a backbone, by group.
///
/// With a configuration, the parameters of the head are counted, too. The number of classes comes from the
/// dataset, unless --classes is given.
#[derive(Debug, Args)]
pub struct Params {
    /// Configuration file (TOML), instead of --backbone and --method.
    config: Option<PathBuf>,
    /// Backbone name; see `gradway list backbones`.
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    backbone: Option<String>,
    /// Method name; see `gradway list methods`.
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    method: Option<String>,
    /// Number of classes of the head.
    #[arg(long, requires = "config", value_parser = clap::value_parser!(u16).range(1..))]
    classes: Option<u16>,
    /// Number of tasks of the method.
    #[arg(long, default_value_t = 1, conflicts_with = "config", value_parser = clap::value_parser!(u16).range(1..))]
    tasks: u16,
    /// Override a key, such as `method.form=kernel`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
pub struct ParamsReport {
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
            "trainable in the method: {:.3} % of the {} parameters of {} (without its output norms)",
            100.0 * report.share,
            thousands(report.backbone_parameters),
            report.backbone
        ))?;
        if report.published_groups.is_empty() {
            return Ok(());
        }
        let groups: Vec<&str> = report.published_groups.iter().map(Group::name).collect();
        print_line(format_args!(
            "as the publication of the method counts ({}): {}",
            groups.join(" + "),
            thousands(report.published)
        ))
    }
}

impl Job for Params {
    type Output = Result<ParamsReport>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<ParamsReport> {
        let (backbone, method, trainable, head) = match &self.config {
            Some(path) => {
                let config = config::load(path, &self.set)?;
                let (method, head) = self.of_config::<B>(&config, &device)?;
                (config.backbone, config.method, method, Some(head))
            }
            None => {
                let name = self.backbone.as_deref().unwrap_or_default();
                let method = self.method.as_deref().unwrap_or_default();
                let method = config::method(method, &self.set)?.for_tasks(self.tasks.into());
                let backbone = BackboneConfig::named(name);
                let module = backbone.init::<B::InnerBackend>(&device)?;
                let (_, tuned) = Encoder::<B>::new(&method, module, &device)?;
                (backbone, method, count(&tuned), None)
            }
        };
        let module = backbone.init::<B::InnerBackend>(&device)?;
        let backbone_parameters = module.num_params();
        let published_groups = method.published_groups().to_vec();
        Ok(ParamsReport {
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
    /// What is trained of the method, and parameters of the head.
    fn of_config<B: TrainBackend>(
        &self,
        config: &RunConfig,
        device: &B::Device,
    ) -> Result<(GroupCount, usize)> {
        config.task.dispatch::<B, _>(Outline {
            classes: self.classes,
            config,
            device,
        })
    }
}

/// The model of a configuration, to be counted.
struct Outline<'a, B: TrainBackend> {
    classes: Option<u16>,
    config: &'a RunConfig,
    device: &'a B::Device,
}

impl<B: TrainBackend> TaskJob<B> for Outline<'_, B> {
    type Output = Result<(GroupCount, usize)>;

    fn run<T: Task<B>>(self) -> Self::Output {
        let config = self.config;
        let labels = match (config.task.multi_task(), self.classes) {
            // Each of several tasks has classes of its own.
            (Ok(_), _) => T::labels(T::validation_loader(config)?.pipeline()),
            (Err(_), Some(classes)) => Labels::unnamed(classes.into()),
            (Err(_), None) => Labels::unnamed(config.data.classes(Split::Train)?),
        };
        let trainable = Model::<B, T>::outline(config, &labels, self.device)?;
        Ok((count(&trainable.method), count(&trainable.head).total))
    }
}
