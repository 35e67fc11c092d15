//! `gradway params`: what a method trains.

use anyhow::Result;
use clap::Args;
use gradway::adapters::{Encoder, Group, GroupCount, count};
use gradway::backbone::BackboneConfig;
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::trainer::config;
use serde::Serialize;

use gradway::report::{Align, table, thousands};

use crate::output::{print_json, print_line};

/// Count the trainable parameters of a method on a backbone, by group.
#[derive(Debug, Args)]
pub struct Params {
    /// Backbone; see `gradway list backbones`.
    #[arg(long)]
    backbone: String,
    /// Method; see `gradway list methods`.
    #[arg(long)]
    method: String,
    /// Overrides a field of the method, such as `method.form=kernel`.
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
        let groups = [
            ("adapter", report.trainable.adapter),
            ("norm", report.trainable.norm),
            ("other", report.trainable.other),
            ("total", report.trainable.total),
        ];
        let rows: Vec<Vec<String>> = groups
            .iter()
            .map(|(name, number)| vec![name.to_string(), thousands(*number)])
            .collect();
        print_line(table(
            &[("trainable", Align::Left), ("parameters", Align::Right)],
            &rows,
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
        let method = config::method(&self.method, &self.set)?;
        let backbone = BackboneConfig::named(&self.backbone).init::<B::InnerBackend>(&device)?;
        let backbone_parameters = burn::module::Module::num_params(&backbone);
        let (_, tuned) = Encoder::<B>::new(&method, backbone, &device)?;
        let trainable = count(&tuned);
        let published_groups = method.published_groups().to_vec();
        Ok(Report {
            backbone: self.backbone,
            method: method.descriptor().name,
            backbone_parameters,
            trainable,
            share: trainable.total as f64 / backbone_parameters as f64,
            published: trainable.of(&published_groups),
            published_groups,
        })
    }
}
