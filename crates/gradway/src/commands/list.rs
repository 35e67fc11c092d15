//! `gradway list`: the tables.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::output::{print_json, print_line};

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

impl Table {
    fn lines(self) -> Vec<Line> {
        macro_rules! lines {
            ($table:expr) => {
                $table
                    .iter()
                    .map(|line| Line {
                        name: line.name,
                        summary: line.summary,
                    })
                    .collect()
            };
        }
        match self {
            Self::Backbones => lines!(gradway::backbone::table()),
            Self::Methods => lines!(gradway::adapters::table()),
            Self::Heads => lines!(gradway::heads::table()),
            Self::Datasets => lines!(gradway::data::table()),
            Self::Metrics => lines!(gradway::metrics::table()),
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
            print_line(format_args!("{:width$}  {}", line.name, line.summary))?;
        }
        Ok(())
    }
}
