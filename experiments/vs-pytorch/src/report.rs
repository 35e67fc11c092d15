//! One line per case.

use gradway::beside::{CaseComparison, Unit};
use gradway::table::Table;
use gradway::trainer::median;
use serde::Serialize;

/// From the medians of every round, ours and theirs, in seconds.
pub fn of_times(case: &str, rounds: &[(f64, f64)]) -> CaseComparison {
    let ratios: Vec<f64> = rounds.iter().map(|(ours, theirs)| ours / theirs).collect();
    let smallest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = ratios.iter().copied().fold(0.0, f64::max);
    CaseComparison {
        case: case.to_string(),
        unit: Unit::Seconds,
        gradway: median(rounds.iter().map(|round| round.0)),
        pytorch: median(rounds.iter().map(|round| round.1)),
        ratio: median(ratios),
        spread: [smallest, largest],
    }
}

/// From two counts of bytes, which have no spread.
pub fn of_bytes(case: &str, ours: usize, theirs: usize) -> CaseComparison {
    let (ours, theirs) = (ours as f64, theirs as f64);
    let ratio = ours / theirs;
    CaseComparison {
        case: case.to_string(),
        unit: Unit::Bytes,
        gradway: ours,
        pytorch: theirs,
        ratio,
        spread: [ratio, ratio],
    }
}

/// A row for people, as soon as it is there.
pub fn line(row: &CaseComparison) -> String {
    let [case, ours, theirs, unit, ratio, spread] = row.cells();
    format!("{case:<58} {ours:>9} {theirs:>9} {unit:<3} ratio {ratio} ({spread})")
}

/// How fast a case computes, on both sides, by the operations that PyTorch counts in its own: both compute the same,
/// and what one of them computes twice is not counted.
#[derive(Debug, Clone, Serialize)]
pub struct Rate {
    case: String,
    #[serde(rename = "TFLOP")]
    operations: f64,
    #[serde(rename = "product TFLOP/s")]
    product: f64,
    #[serde(rename = "Gradway TFLOP/s")]
    gradway: f64,
    #[serde(rename = "PyTorch TFLOP/s")]
    pytorch: f64,
    #[serde(rename = "Gradway share")]
    gradway_share: f64,
    #[serde(rename = "PyTorch share")]
    pytorch_share: f64,
}

impl Rate {
    /// From the times of both sides, the operations of a run, and those of a product in a second.
    pub fn new(times: &CaseComparison, operations: f64, product: f64) -> Self {
        let (gradway, pytorch) = (operations / times.gradway, operations / times.pytorch);
        Self {
            case: times.case.clone(),
            operations: operations / 1e12,
            product: product / 1e12,
            gradway: gradway / 1e12,
            pytorch: pytorch / 1e12,
            gradway_share: gradway / product,
            pytorch_share: pytorch / product,
        }
    }

    /// A row for each case.
    pub fn table(rates: &[Self]) -> Table {
        let heading = [
            "case",
            "TFLOP",
            "product TFLOP/s",
            "Gradway TFLOP/s",
            "PyTorch TFLOP/s",
            "Gradway share",
            "PyTorch share",
        ];
        let row = |rate: &Self| {
            let number = |number: f64| format!("{number:.3}");
            let share = |share: f64| format!("{:.1} %", 100.0 * share);
            vec![
                rate.case.clone(),
                number(rate.operations),
                number(rate.product),
                number(rate.gradway),
                number(rate.pytorch),
                share(rate.gradway_share),
                share(rate.pytorch_share),
            ]
        };
        Table::of_numbers(heading, rates.iter().map(row).collect())
    }
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
