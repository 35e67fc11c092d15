//! `gradway data`: looking at datasets.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use gradway::data::Split;
use gradway::data::check::{DatasetReport, InstanceReport, LabelCount, TaskReport};
use gradway::report::count;
use gradway::trainer::config;

use gradway::table::{Align, Table};

use crate::output::{print_json, print_line};

/// Check datasets.
#[derive(Debug, Args)]
pub struct Data {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
}

/// Read every sample of both splits and report counts, image sizes, class shares and problems.
///
/// A dataset with several tasks is reported task by task. The exit status is 1 if there are problems.
#[derive(Debug, Args)]
struct Check {
    /// Root directory of the dataset.
    path: PathBuf,
    /// Dataset format; see `gradway list datasets`.
    #[arg(long)]
    format: String,
    /// Set another key of the format, such as `data.classes=camvid`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Problems that are listed before the rest is only counted.
const LISTED: usize = 20;

impl Data {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Check(check) => check.run(),
        }
    }
}

impl Check {
    fn run(self) -> Result<()> {
        let dataset = config::dataset(&self.format, &self.path, &self.set)?;
        let reports = [Split::Train, Split::Val]
            .into_iter()
            .map(|split| Ok((split.name(), dataset.check(split)?)))
            .collect::<Result<Vec<(&str, DatasetReport)>>>()?;
        if self.json {
            print_json(
                &reports
                    .iter()
                    .cloned()
                    .collect::<std::collections::BTreeMap<_, _>>(),
            )?;
        } else {
            for (split, report) in &reports {
                print_report(split, report)?;
            }
        }
        let problems: usize = reports
            .iter()
            .map(|(_, report)| report.problems.len())
            .sum();
        if problems > 0 {
            bail!(
                "{} of {} cannot be used",
                count(problems, "sample"),
                self.path.display()
            );
        }
        Ok(())
    }
}

fn print_report(split: &str, report: &DatasetReport) -> Result<()> {
    print_line(format_args!(
        "{split}: {}, {} readable",
        count(report.samples, "sample"),
        report.readable
    ))?;
    let sizes: Vec<String> = report
        .sizes
        .iter()
        .take(5)
        .map(|size| format!("{}x{} ({})", size.width, size.height, size.samples))
        .collect();
    let more = match report.sizes.len().saturating_sub(5) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    print_line(format_args!("sizes: {}{more}", sizes.join(", ")))?;
    if report.turned > 0 {
        print_line(format_args!(
            "{} with an EXIF orientation; labels must match the image as it is shown",
            count(report.turned, "image")
        ))?;
    }
    for task in &report.tasks {
        print_task(task)?;
    }
    match &report.instances {
        Some(found) => print_instances(found)?,
        None if report.tasks.is_empty() => {
            print_labels(&report.labels)?;
            print_line(format_args!(
                "ignored: {:.2} % of the pixels",
                100.0 * report.ignored_share
            ))?;
        }
        None => {}
    }
    for warning in &report.warnings {
        print_line(format_args!("warning: {}", warning.message))?;
        print_hint(warning.hint.as_deref())?;
    }
    for problem in report.problems.iter().take(LISTED) {
        print_line(format_args!("problem: {}", problem.message))?;
        print_hint(problem.hint.as_deref())?;
    }
    if report.problems.len() > LISTED {
        print_line(format_args!("and {} more", report.problems.len() - LISTED))?;
    }
    print_line("")
}

fn print_hint(hint: Option<&str>) -> Result<()> {
    match hint {
        Some(hint) => print_line(format_args!("  hint: {hint}")),
        None => Ok(()),
    }
}

fn print_task(task: &TaskReport) -> Result<()> {
    print_line(format_args!(
        "{}: {}, {} without labels; {:.2} % of the pixels are labelled",
        task.task,
        count(task.samples, "sample"),
        task.empty,
        100.0 * task.labelled_share
    ))?;
    if let Some(path) = &task.first_missing {
        print_line(format_args!(
            "missing: {}, first {}",
            count(task.missing, "sample"),
            path.display()
        ))?;
    }
    if let Some([smallest, mean, largest]) = task.depth {
        print_line(format_args!(
            "depth: {smallest:.2} to {largest:.2} m, {mean:.2} m on average"
        ))?;
    }
    if task.labels.is_empty() {
        return Ok(());
    }
    print_labels(&task.labels)
}

fn print_labels(labels: &[LabelCount]) -> Result<()> {
    let rows: Vec<Vec<String>> = labels
        .iter()
        .map(|label| {
            vec![
                label.class.to_string(),
                label.name.clone(),
                label.samples.to_string(),
                format!("{:.2}", 100.0 * label.share),
            ]
        })
        .collect();
    let heading = [
        ("label", Align::Right),
        ("class", Align::Left),
        ("samples", Align::Right),
        ("pixels %", Align::Right),
    ];
    print_line(Table::new(&heading, rows))
}

fn print_instances(found: &InstanceReport) -> Result<()> {
    let rows: Vec<Vec<String>> = found
        .classes
        .iter()
        .map(|class| {
            vec![
                class.class.to_string(),
                class.name.clone(),
                class.samples.to_string(),
                class.instances.to_string(),
            ]
        })
        .collect();
    let heading = [
        ("label", Align::Right),
        ("class", Align::Left),
        ("samples", Align::Right),
        ("instances", Align::Right),
    ];
    print_line(Table::new(&heading, rows))?;
    print_line(format_args!(
        "{}, {} with a mask ({} of them empty), {}, {} difficult; {} without instances",
        count(found.instances as usize, "instance"),
        found.with_mask,
        found.empty_masks,
        count(found.crowds as usize, "crowd"),
        found.difficult,
        count(found.empty, "image")
    ))?;
    if !found.skipped.is_empty() {
        print_line(format_args!("skipped: {}", found.skipped))?;
    }
    Ok(())
}
