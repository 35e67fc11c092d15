//! Summaries of methods over several seeds: a table, and a plot of accuracy against memory.

use std::path::{Path, PathBuf};

use gradway_trainer::RunOutcome;
use plotters::prelude::*;

use crate::report::{HOST_PEAK, best, mebibytes, percent, thousands};
use crate::table::Table;

/// The summary of a method's runs.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodSummary {
    /// Name of the method.
    pub method: String,
    /// Name of the metric; see `gradway list metrics`.
    pub metric: String,
    /// Best score by seed. `None` if it is undefined.
    pub scores: Vec<(u64, Option<f64>)>,
    /// Number of trainable parameters of the method.
    pub parameters: usize,
    /// Peak number of live bytes of a step in any run, in the memory that the device computes in. `None` if it
    /// is not measured.
    pub peak_bytes: Option<usize>,
    /// The same for the host's memory, if the device has its own.
    pub host_peak_bytes: Option<usize>,
    /// Mean over the runs of the median wall time of a step, in seconds.
    pub seconds_per_step: f64,
    /// Number of steps of a run.
    pub steps: usize,
}

impl MethodSummary {
    /// Returns the mean of the scores that are defined.
    pub fn mean(&self) -> Option<f64> {
        let defined: Vec<f64> = self.scores.iter().filter_map(|(_, score)| *score).collect();
        let sum: f64 = defined.iter().sum();
        (!defined.is_empty()).then(|| sum / defined.len() as f64)
    }
}

/// The error that a plot could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {reason}")]
pub struct PlotError {
    /// The file.
    pub path: PathBuf,
    /// The message of the drawing library.
    pub reason: String,
}

/// Groups runs by method, the best method first.
pub fn by_method(runs: &[(String, RunOutcome)]) -> Vec<MethodSummary> {
    let mut methods: Vec<MethodSummary> = Vec::new();
    for (_, run) in runs {
        let score = (run.provenance.seed, best(run));
        match methods.iter_mut().find(|known| known.method == run.method) {
            Some(known) => {
                let count = known.scores.len() as f64;
                known.seconds_per_step =
                    (known.seconds_per_step * count + run.seconds_per_step) / (count + 1.0);
                known.peak_bytes = known.peak_bytes.max(run.peak_bytes);
                known.host_peak_bytes = known.host_peak_bytes.max(run.host_peak_bytes);
                known.scores.push(score);
            }
            None => methods.push(MethodSummary {
                method: run.method.clone(),
                metric: run.metric.clone(),
                scores: vec![score],
                parameters: run.parameters.total,
                peak_bytes: run.peak_bytes,
                host_peak_bytes: run.host_peak_bytes,
                seconds_per_step: run.seconds_per_step,
                steps: run.steps,
            }),
        }
    }
    let mean = |method: &MethodSummary| method.mean().unwrap_or(f64::NEG_INFINITY);
    methods.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    methods
}

/// The metric of all methods.
fn metric(methods: &[MethodSummary]) -> &str {
    methods.first().map_or("score", |method| &method.metric)
}

/// Returns a table with a row for each method: the best score of every run, their mean, and the cost.
pub fn table(methods: &[MethodSummary]) -> Table {
    let seeds: Vec<u64> = methods
        .first()
        .map(|method| method.scores.iter().map(|(seed, _)| *seed).collect())
        .unwrap_or_default();
    let mut heading = vec!["method".to_string(), format!("best {} %", metric(methods))];
    heading.extend(seeds.iter().map(|seed| format!("seed {seed}")));
    let has_host = methods
        .iter()
        .any(|method| method.host_peak_bytes.is_some());
    heading.extend(["trainable", "peak MiB"].map(String::from));
    heading.extend(has_host.then(|| HOST_PEAK.to_string()));
    heading.extend(["seconds per step", "minutes of steps"].map(String::from));
    let row = |method: &MethodSummary| {
        let mut row = vec![method.method.clone(), percent(method.mean())];
        row.extend(seeds.iter().map(|seed| {
            let mut scores = method.scores.iter();
            percent(
                scores
                    .find(|(known, _)| known == seed)
                    .and_then(|(_, score)| *score),
            )
        }));
        row.extend([thousands(method.parameters), mebibytes(method.peak_bytes)]);
        row.extend(has_host.then(|| mebibytes(method.host_peak_bytes)));
        row.extend([
            format!("{:.2}", method.seconds_per_step),
            format!(
                "{:.1}",
                method.seconds_per_step * method.steps as f64 / 60.0
            ),
        ]);
        row
    };
    Table::of_numbers(heading, methods.iter().map(row).collect())
}

/// Plots the score against peak memory as an SVG file, with a disc for each method whose area grows with its
/// number of parameters.
///
/// # Errors
///
/// [`PlotError`] if the file cannot be written.
pub fn plot(methods: &[MethodSummary], path: &Path) -> Result<(), PlotError> {
    draw(methods, path).map_err(|error| PlotError {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })
}

/// Radius of a disc for no parameters, and for the most parameters, in pixels.
const RADII: [f64; 2] = [3.0, 24.0];
/// Height of a line of labels relative to the height of the plot.
const LINE: f64 = 0.045;

fn draw(methods: &[MethodSummary], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let points: Vec<(f64, f64, &MethodSummary)> = methods
        .iter()
        .filter_map(|method| {
            let bytes = method.peak_bytes? as f64 / f64::from(1 << 20);
            Some((bytes, 100.0 * method.mean()?, method))
        })
        .collect();
    let range = |values: &dyn Fn(&(f64, f64, &MethodSummary)) -> f64| {
        let low = points.iter().map(values).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(values).fold(f64::NEG_INFINITY, f64::max);
        let margin = 0.1 * (high - low).max(1.0);
        (low - margin, high + margin)
    };
    let (left, right) = range(&|point| point.0);
    let (bottom, top) = range(&|point| point.1);
    // Room for the labels of what is at the right.
    let right = right + 0.15 * (right - left);
    let most = points.iter().map(|point| point.2.parameters).max();
    let most = most.unwrap_or_default().max(1) as f64;

    let root = SVGBackend::new(path, (720, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(48)
        .build_cartesian_2d(left..right, bottom..top)?;
    chart
        .configure_mesh()
        .x_desc("peak MiB of a step")
        .y_desc(format!("best {} %", metric(methods)))
        .max_light_lines(1)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    for (x, y, method) in &points {
        let share = (method.parameters as f64 / most).sqrt();
        let radius = RADII[0] + share * (RADII[1] - RADII[0]);
        chart.draw_series([Circle::new(
            (*x, *y),
            radius as i32,
            BLUE.mix(0.35).filled(),
        )])?;
        chart.draw_series([Circle::new((*x, *y), 2, BLUE.filled())])?;
    }
    // Labels from the top down, each below the one before where the two would meet.
    let mut labels = points.clone();
    labels.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (line, width) = (LINE * (top - bottom), 0.22 * (right - left));
    let mut placed: Vec<(f64, f64)> = Vec::new();
    for (x, y, method) in labels {
        let mut at = y;
        for (other_x, other_y) in &placed {
            if (other_x - x).abs() < width && (other_y - at).abs() < line {
                at = other_y - line;
            }
        }
        placed.push((x, at));
        let text = method.method.clone();
        let style = ("sans-serif", 13).into_font();
        let offset = (x + 0.012 * (right - left), at + 0.3 * line);
        chart.draw_series([Text::new(text, offset, style)])?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(
        method: &str,
        scores: &[Option<f64>],
        parameters: usize,
        mebibytes: usize,
    ) -> MethodSummary {
        MethodSummary {
            method: method.to_string(),
            metric: "mean_iou".to_string(),
            scores: (0..).zip(scores.iter().copied()).collect(),
            parameters,
            peak_bytes: Some(mebibytes << 20),
            host_peak_bytes: None,
            seconds_per_step: 0.5,
            steps: 120,
        }
    }

    #[test]
    fn a_table_has_a_row_for_each_method() {
        let table = table(&[
            method("wide", &[Some(0.5), Some(0.7)], 1200, 80),
            method("narrow", &[Some(0.4), None], 0, 40),
            method("undefined", &[None, None], 0, 40),
        ]);
        let expected = "\
| method | best mean_iou % | seed 0 | seed 1 | trainable | peak MiB | seconds per step | minutes of steps |
|---|---|---|---|---|---|---|---|
| `wide` | 60.00 | 50.00 | 70.00 | 1,200 | 80.0 | 0.50 | 1.0 |
| `narrow` | 40.00 | 40.00 | - | 0 | 40.0 | 0.50 | 1.0 |
| `undefined` | - | - | - | 0 | 40.0 | 0.50 | 1.0 |
";
        assert_eq!(table.markdown(), expected);
    }

    #[test]
    fn the_memory_of_a_device_and_of_its_host_are_told_apart() {
        let on_card = MethodSummary {
            host_peak_bytes: Some(300 << 20),
            ..method("wide", &[Some(0.5)], 1200, 80)
        };
        let expected = "\
| method | best mean_iou % | seed 0 | trainable | peak MiB | host peak MiB | seconds per step | minutes of steps |
|---|---|---|---|---|---|---|---|
| `wide` | 50.00 | 50.00 | 1,200 | 80.0 | 300.0 | 0.50 | 1.0 |
";
        assert_eq!(table(&[on_card]).markdown(), expected);
    }

    #[test]
    fn a_picture_names_every_method() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.svg");
        let methods = [
            method("wide", &[Some(0.5), Some(0.7)], 1_200_000, 80),
            method("beside", &[Some(0.601)], 900_000, 79),
            method("narrow", &[Some(0.4)], 0, 40),
        ];
        plot(&methods, &path).unwrap();
        let picture = std::fs::read_to_string(&path).unwrap();
        for method in &methods {
            assert!(picture.contains(&method.method), "{}", method.method);
        }
        let error = plot(&methods, &folder.path().join("nowhere/plot.svg"));
        assert!(error.unwrap_err().to_string().contains("nowhere"));
    }
}
