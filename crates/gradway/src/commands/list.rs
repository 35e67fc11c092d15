//! `gradway list`: the tables.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Outcome;

/// List what can be named in a configuration.
#[derive(Debug, Args)]
pub struct List {
    /// Which table.
    table: Table,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Table {
    Backbones,
    Methods,
    Heads,
    Datasets,
    Metrics,
}

/// A line of a table.
#[derive(Debug, Serialize)]
struct Line {
    name: &'static str,
    summary: &'static str,
}

impl List {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let lines: Vec<Line> = match self.table {
            Table::Backbones => gradway::backbone::table()
                .iter()
                .map(|line| Line { name: line.name, summary: line.summary })
                .collect(),
            Table::Methods => gradway::adapters::table()
                .iter()
                .map(|line| Line { name: line.name, summary: line.summary })
                .collect(),
            Table::Heads => gradway::heads::table()
                .iter()
                .map(|line| Line { name: line.name, summary: line.summary })
                .collect(),
            Table::Datasets => gradway::data::table()
                .iter()
                .map(|line| Line { name: line.name, summary: line.summary })
                .collect(),
            Table::Metrics => gradway::metrics::table()
                .iter()
                .map(|line| Line { name: line.name, summary: line.summary })
                .collect(),
        };
        if self.json {
            crate::print_json(&lines)?;
        } else {
            let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
            for line in &lines {
                crate::print_line(&format!("{:width$}  {}", line.name, line.summary))?;
            }
        }
        Ok(())
    }
}
