//! `gradway report`: tables of what runs and benches have written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use gradway::beside::{self, CaseComparison};
use gradway::report::{self, count};
use gradway::table::Table;
use gradway::terminal::{describe, note};
use gradway::trainer::{RunDirectory, RunOutcome};
use serde_json::{Map, Value};

use super::bench::{self, Measured};
use crate::output::{print_json, print_line};

/// Show the results of runs and of `gradway bench` as tables.
///
/// A result that cannot be read is reported and left out, and the exit status is 1.
#[derive(Debug, Args)]
pub struct Report {
    /// Run directories, JSON files that a command or an experiment wrote, or directories of either.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Print Markdown instead of text.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print JSON instead of text: an object from path to result.
    #[arg(long)]
    json: bool,
}

/// What a file holds.
enum Results {
    /// Of training.
    Runs(Vec<(String, RunOutcome)>),
    /// Of `gradway bench`.
    Costs(Vec<Measured>),
    /// Of cases beside another library's.
    Comparisons(Vec<CaseComparison>),
    /// Any other rows.
    Rows(Vec<Map<String, Value>>),
}

impl Report {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let mut unread = Unread::default();
        let mut sources = Vec::new();
        for path in &self.paths {
            sources.extend(unread.unless(files(path)).unwrap_or_default());
        }
        match self.json {
            true => {
                let paths = sources.iter().map(|(_, path)| path);
                let values = paths.filter_map(|path| Some((path, unread.unless(read(path))?)));
                let values: BTreeMap<&PathBuf, Value> = values.collect();
                if !values.is_empty() {
                    print_json(&values)?;
                }
            }
            false => self.print_tables(&sources, &mut unread)?,
        }
        unread.into_result()
    }

    /// Prints a table of each source that can be read; runs of one kind share one.
    fn print_tables(&self, sources: &[(String, PathBuf)], unread: &mut Unread) -> Result<()> {
        let mut parts: Vec<(String, Results)> = Vec::new();
        for (name, path) in sources {
            let results = read(path).and_then(|value| {
                Results::of(name, value).with_context(|| format!("{}", path.display()))
            });
            let Some(results) = unread.unless(results) else {
                continue;
            };
            // Runs of one kind share a table.
            match (parts.last_mut(), results) {
                (Some((_, Results::Runs(known))), Results::Runs(more)) if alike(known, &more) => {
                    known.extend(more);
                }
                (_, results) => parts.push((name.clone(), results)),
            }
        }
        for (index, (name, results)) in parts.iter().enumerate() {
            if index > 0 {
                print_line("")?;
            }
            let name = match results {
                Results::Runs(_) => "runs",
                _ => name,
            };
            match self.markdown {
                true => print_line(format_args!("### {name}"))?,
                false => print_line(name)?,
            }
            for table in results.tables() {
                match self.markdown {
                    true => print_line(format_args!("\n{}", table.markdown().trim_end()))?,
                    false => print_line(table)?,
                }
            }
        }
        Ok(())
    }
}

/// What cannot be read, which does not stop the rest.
#[derive(Default)]
struct Unread(usize);

impl Unread {
    /// Returns a result; reports and counts an error.
    fn unless<T>(&mut self, result: Result<T>) -> Option<T> {
        if let Err(error) = &result {
            note(format_args!("not shown: {}", describe(error)));
            self.0 += 1;
        }
        result.ok()
    }

    /// Fails if there was an error.
    fn into_result(self) -> Result<()> {
        match self.0 {
            0 => Ok(()),
            number => bail!("{} not shown", count(number, "result")),
        }
    }
}

/// The results below a path, each with a name: a run's folder, a file, or a folder of either.
fn files(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let name = |path: &Path| {
        let name = path.file_stem().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    if !path.is_dir() {
        return Ok(vec![(name(path), path.to_path_buf())]);
    }
    let result = path.join(RunDirectory::RESULT);
    if result.is_file() {
        let name = path.file_name().unwrap_or(path.as_os_str());
        return Ok(vec![(name.to_string_lossy().into_owned(), result)]);
    }
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut entries = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.join(RunDirectory::RESULT).is_file() {
            found.extend(files(&entry)?);
        } else if entry.extension().is_some_and(|end| end == "json") {
            found.push((name(&entry), entry));
        }
    }
    if found.is_empty() && RunDirectory::open(path).is_ok() {
        bail!(
            "{} is a run that is not finished; resume it with `gradway train --resume {0}`",
            path.display()
        );
    }
    if found.is_empty() {
        bail!(
            "{} has neither a finished run nor a JSON file",
            path.display()
        );
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{}", path.display()))
}

/// Whether runs have the same scores.
fn alike(a: &[(String, RunOutcome)], b: &[(String, RunOutcome)]) -> bool {
    let names = |runs: &[(String, RunOutcome)]| {
        let first = runs.first();
        first
            .map(|(_, run)| run.last.scores.headlines().into_iter().map(|one| one.name))
            .map(Iterator::collect::<Vec<_>>)
    };
    names(a) == names(b)
}

impl Results {
    /// What a value is, told by the fields of its first row.
    fn of(name: &str, value: Value) -> Result<Self> {
        let rows = match value {
            Value::Array(rows) => rows,
            run @ Value::Object(_) => vec![run],
            _ => Vec::new(),
        };
        if rows.is_empty() {
            bail!("it has no rows");
        }
        let has = |key: &str| rows.first().is_some_and(|row| row.get(key).is_some());
        let (is_run, is_cost, is_case) = (has("last"), has("all_seconds"), has("spread"));
        let all = Value::Array(rows);
        Ok(if is_run {
            let runs: Vec<RunOutcome> = serde_json::from_value(all)?;
            let count = runs.len();
            // A run's folder has the run's name; a file of several runs has theirs by method.
            let named = |run: RunOutcome| match count {
                1 => (name.to_string(), run),
                _ => (run.method.clone(), run),
            };
            Self::Runs(runs.into_iter().map(named).collect())
        } else if is_cost {
            Self::Costs(serde_json::from_value(all)?)
        } else if is_case {
            Self::Comparisons(serde_json::from_value(all)?)
        } else {
            Self::Rows(serde_json::from_value(all)?)
        })
    }

    fn tables(&self) -> Vec<Table> {
        match self {
            Self::Runs(runs) => vec![report::comparison(runs)],
            Self::Costs(rows) => vec![bench::speed_table(rows), bench::memory_table(rows)],
            Self::Comparisons(rows) => vec![beside::table(rows)],
            Self::Rows(rows) => vec![plain(rows)],
        }
    }
}

/// Rows of any fields: words first, then whole numbers, then others.
fn plain(rows: &[Map<String, Value>]) -> Table {
    let mut columns: Vec<&str> = Vec::new();
    for key in rows.iter().flat_map(Map::keys) {
        if !columns.contains(&key.as_str()) {
            columns.push(key);
        }
    }
    let order = |key: &&str| match rows.iter().find_map(|row| row.get(*key)) {
        Some(Value::Number(number)) if number.is_f64() => 2,
        Some(Value::Number(_)) => 1,
        _ => 0,
    };
    columns.sort_by_key(order);
    let cell = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "-".to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(value) if number.is_f64() => format!("{value:.3}"),
            _ => number.to_string(),
        },
        Some(other) => other.to_string(),
    };
    let rows = rows.iter();
    let cells = rows.map(|row| columns.iter().map(|key| cell(row.get(*key))).collect());
    let cells = cells.collect();
    Table::of_numbers(columns, cells)
}
