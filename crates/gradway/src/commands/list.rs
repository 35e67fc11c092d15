//! `gradway list`: the tables.

use anyhow::Result;
use clap::{Args, ValueEnum};
use gradway::data::DatasetDescriptor;
use gradway::heads::HeadDescriptor;
use gradway::metrics::MetricDescriptor;
use serde::Serialize;

use crate::output::{print_json, print_line};

/// List the names that a configuration can use.
#[derive(Debug, Args)]
pub struct List {
    /// Table to list.
    table: Table,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Table {
    Backbones,
    Methods,
    Necks,
    Heads,
    Datasets,
    Metrics,
}

/// A line of a table.
#[derive(Debug, Serialize)]
struct Line {
    name: &'static str,
    /// What it is for, in the tables that serve several tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    summary: &'static str,
}

impl Table {
    fn lines(self) -> Vec<Line> {
        macro_rules! lines {
            ($table:expr, $task:expr) => {
                $table
                    .iter()
                    .map(|line| Line {
                        name: line.name,
                        task: $task(line),
                        summary: line.summary,
                    })
                    .collect()
            };
        }
        match self {
            Self::Backbones => lines!(gradway::backbone::table(), |_| None),
            Self::Methods => lines!(gradway::adapters::table(), |_| None),
            Self::Necks => lines!(gradway::heads::neck::table(), |_| None),
            Self::Heads => lines!(gradway::heads::table(), |line: &HeadDescriptor| {
                Some(line.task.name().to_string())
            }),
            Self::Datasets => lines!(gradway::data::table(), |line: &DatasetDescriptor| {
                let names: Vec<&str> = line.tasks.iter().map(|task| task.name()).collect();
                Some(names.join(", "))
            }),
            Self::Metrics => lines!(gradway::metrics::table(), |line: &MetricDescriptor| {
                Some(line.family.task().to_string())
            }),
        }
    }
}

impl List {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let lines = self.table.lines();
        if self.json {
            return print_json(&lines);
        }
        let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
        for line in &lines {
            let task = line.task.as_ref().map(|task| format!("{task:24}  "));
            let task = task.unwrap_or_default();
            print_line(format_args!("{:width$}  {task}{}", line.name, line.summary))?;
        }
        Ok(())
    }
}
