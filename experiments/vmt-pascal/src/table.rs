//! The table of an experiment with many tasks.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use gradway::data::DenseTask;
use gradway::metrics::{MetricDescriptor, TaskScore, relative_improvement};
use gradway::report::{HOST_PEAK, mebibytes, percent, score, thousands, unit};
use gradway::table::Table;
use gradway::trainer::RunOutcome;

/// Stands for one model per task.
pub const SINGLE: &str = "single";

/// A method over its seeds.
pub struct Row {
    method: String,
    /// The mean over the seeds, by task.
    scores: BTreeMap<DenseTask, (MetricDescriptor, f64)>,
    /// Over one model per task, by seed; none where there are no such models.
    improvements: Vec<Option<f64>>,
    encoder: usize,
    decoders: usize,
    peak_bytes: Option<usize>,
    host_peak_bytes: Option<usize>,
    seconds_per_step: f64,
}

/// A row for each method; `plan` has method, seed and runs of all that was trained.
pub fn rows(
    plan: &[(String, u64, Vec<String>)],
    outcomes: &[(String, RunOutcome)],
) -> Result<Vec<Row>> {
    let outcome = |name: &String| {
        let found = outcomes.iter().find(|(known, _)| known == name);
        found
            .map(|(_, outcome)| outcome)
            .context("a run without a result")
    };
    let outcomes_of = |names: &[String]| {
        names
            .iter()
            .map(outcome)
            .collect::<Result<Vec<&RunOutcome>>>()
    };
    let mut single: BTreeMap<u64, Vec<TaskScore>> = BTreeMap::new();
    for (_, seed, names) in plan.iter().filter(|(method, ..)| method == SINGLE) {
        single.insert(*seed, compared(&scores(&outcomes_of(names)?)?));
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    for (method, seed, names) in plan {
        let parts = outcomes_of(names)?;
        let scores = scores(&parts)?;
        let reference = single.get(seed);
        let improvement = reference
            .map(|reference| relative_improvement(&compared(&scores), reference))
            .transpose()?
            .map(|relative| relative.relative_improvement);
        let count = counts.entry(method.clone()).or_default();
        let seconds = parts.iter().map(|part| part.seconds_per_step).sum::<f64>();
        let row = Row {
            method: method.clone(),
            scores,
            improvements: vec![improvement],
            encoder: parts.iter().map(|part| part.parameters.total).sum(),
            decoders: parts.iter().map(|part| part.head_parameters).sum(),
            // Models of one task are trained one after the other.
            peak_bytes: parts.iter().filter_map(|part| part.peak_bytes).max(),
            host_peak_bytes: parts.iter().filter_map(|part| part.host_peak_bytes).max(),
            seconds_per_step: seconds,
        };
        match rows.iter_mut().find(|known| known.method == *method) {
            Some(known) => known.take_in(row, *count),
            None => rows.push(row),
        }
        *count += 1.0;
    }
    Ok(rows)
}

/// The scores of a model of all tasks, or of one model per task.
fn scores(parts: &[&RunOutcome]) -> Result<BTreeMap<DenseTask, (MetricDescriptor, f64)>> {
    let mut all = BTreeMap::new();
    for part in parts {
        for (task, scores) in &part.last.scores.multi_task()?.tasks {
            let (metric, value) = scores.main();
            let value = value.with_context(|| format!("{task} has no score"))?;
            all.insert(*task, (metric, value));
        }
    }
    Ok(all)
}

fn compared(scores: &BTreeMap<DenseTask, (MetricDescriptor, f64)>) -> Vec<TaskScore> {
    let score = |(task, (metric, value)): (&DenseTask, &(MetricDescriptor, f64))| TaskScore {
        task: task.name().to_string(),
        metric: *metric,
        value: *value,
    };
    scores.iter().map(score).collect()
}

impl Row {
    /// Takes in the row of another seed beside `count` that are in.
    fn take_in(&mut self, other: Row, count: f64) {
        let mean = |old: f64, new: f64| (old * count + new) / (count + 1.0);
        for (task, (_, value)) in &mut self.scores {
            if let Some((_, new)) = other.scores.get(task) {
                *value = mean(*value, *new);
            }
        }
        self.improvements.extend(other.improvements);
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
        self.host_peak_bytes = self.host_peak_bytes.max(other.host_peak_bytes);
        self.seconds_per_step = mean(self.seconds_per_step, other.seconds_per_step);
    }

    /// The mean over the seeds.
    fn improvement(&self) -> Option<f64> {
        let all: Option<Vec<f64>> = self.improvements.iter().copied().collect();
        let all = all.filter(|all| !all.is_empty())?;
        Some(all.iter().sum::<f64>() / all.len() as f64)
    }

    fn cells(&self, has_host: bool) -> Vec<String> {
        let seeds: Vec<String> = self.improvements.iter().map(|one| percent(*one)).collect();
        let mut cells = vec![self.method.clone()];
        cells.extend(
            self.scores
                .values()
                .map(|(metric, value)| score(Some(*value), metric.unit)),
        );
        cells.extend([
            percent(self.improvement()),
            seeds.join(", "),
            thousands(self.encoder),
            thousands(self.decoders),
            thousands(self.encoder + self.decoders),
            mebibytes(self.peak_bytes),
        ]);
        cells.extend(has_host.then(|| mebibytes(self.host_peak_bytes)));
        cells.push(format!("{:.2}", self.seconds_per_step));
        cells
    }
}

fn heading(rows: &[Row], has_host: bool) -> Vec<String> {
    let mut heading = vec!["method".to_string()];
    if let Some(row) = rows.first() {
        heading.extend(row.scores.iter().map(|(task, (metric, _))| {
            let arrow = if metric.higher_is_better {
                "up"
            } else {
                "down"
            };
            format!(
                "{task}: last {} {}, {arrow}",
                metric.name,
                unit(metric.unit)
            )
        }));
    }
    let rest = [
        "improvement %",
        "by seed",
        "encoder",
        "decoders",
        "total",
        "peak MiB",
    ];
    heading.extend(rest.map(str::to_string));
    heading.extend(has_host.then(|| HOST_PEAK.to_string()));
    heading.push("seconds per step".to_string());
    heading
}

/// A row for each method. Scores are those of the last evaluation: one checkpoint, whatever is the best of each task.
pub fn table(rows: &[Row]) -> Table {
    let has_host = rows.iter().any(|row| row.host_peak_bytes.is_some());
    let cells = rows.iter().map(|row| row.cells(has_host));
    Table::of_numbers(heading(rows, has_host), cells.collect())
}
