//! One line per case.

use serde::Serialize;

use crate::case::median;

/// A case as both sides ran it.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name of the case.
    pub case: String,
    /// Seconds or bytes.
    pub unit: &'static str,
    /// Median of ours.
    pub gradway: f64,
    /// Median of theirs.
    pub pytorch: f64,
    /// Median over the rounds of ours over theirs.
    pub ratio: f64,
    /// The smallest and the largest ratio of a round.
    pub spread: [f64; 2],
}

impl Row {
    /// From the medians of every round, ours and theirs.
    pub fn of_times(case: &str, rounds: &[(f64, f64)]) -> Self {
        let ratios: Vec<f64> = rounds.iter().map(|(ours, theirs)| ours / theirs).collect();
        let smallest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = ratios.iter().copied().fold(0.0, f64::max);
        Self {
            case: case.to_string(),
            unit: "seconds",
            gradway: median(rounds.iter().map(|round| round.0).collect()),
            pytorch: median(rounds.iter().map(|round| round.1).collect()),
            ratio: median(ratios),
            spread: [smallest, largest],
        }
    }

    /// From two counts, which have no spread.
    pub fn of_bytes(case: &str, ours: usize, theirs: usize) -> Self {
        let (ours, theirs) = (ours as f64, theirs as f64);
        let ratio = ours / theirs;
        Self {
            case: case.to_string(),
            unit: "bytes",
            gradway: ours,
            pytorch: theirs,
            ratio,
            spread: [ratio, ratio],
        }
    }
}

/// A row for people.
pub fn line(row: &Row) -> String {
    let [low, high] = row.spread;
    let (scale, unit) = match row.unit {
        "bytes" => (f64::from(1 << 20).recip(), "MiB"),
        _ => (1e3, "ms"),
    };
    format!(
        "{:<58} {:>9.2} {:>9.2} {unit:<3} ratio {:.2} ({low:.2}..{high:.2})",
        row.case,
        row.gradway * scale,
        row.pytorch * scale,
        row.ratio
    )
}

/// Operators below this share of a run are added up.
const SMALL: f64 = 0.01;

/// The operators of `runs` runs, the longest first, and what is not in any.
pub fn profile(side: &str, total: f64, operators: Vec<(String, f64)>, runs: usize) -> String {
    let named: f64 = operators.iter().map(|(_, seconds)| seconds).sum();
    let (mut large, small): (Vec<_>, Vec<_>) = operators
        .into_iter()
        .partition(|(_, seconds)| *seconds > SMALL * total);
    large.sort_by(|a, b| b.1.total_cmp(&a.1));
    large.push((
        "smaller operators".to_string(),
        small.iter().map(|(_, seconds)| seconds).sum(),
    ));
    large.push(("everything else".to_string(), total - named));
    let mut text = format!("  {side}: {:.1} ms\n", total / runs as f64 * 1e3);
    for (name, seconds) in large {
        let milliseconds = seconds / runs as f64 * 1e3;
        let share = seconds / total * 100.0;
        text += &format!("    {name:<44} {milliseconds:>8.1} ms {share:>5.1} %\n");
    }
    text
}
