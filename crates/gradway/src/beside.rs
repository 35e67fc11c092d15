//! Comparison of the same work in Gradway and in PyTorch.

use serde::{Deserialize, Serialize};

use crate::table::Table;

/// The measurements of a case in both libraries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseComparison {
    /// Name of the case.
    pub case: String,
    /// Unit of the compared values.
    pub unit: Unit,
    /// Median of Gradway.
    pub gradway: f64,
    /// Median of PyTorch.
    pub pytorch: f64,
    /// Median over the rounds of Gradway's value divided by PyTorch's.
    pub ratio: f64,
    /// Smallest and largest ratio of a round.
    pub spread: [f64; 2],
}

/// The unit of the compared values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds of wall time.
    Seconds,
    /// Bytes of memory.
    Bytes,
}

impl Unit {
    /// Name and factor of the readable unit.
    fn readable(self) -> (&'static str, f64) {
        match self {
            Self::Seconds => ("ms", 1e-3),
            Self::Bytes => ("MiB", f64::from(1 << 20)),
        }
    }
}

impl CaseComparison {
    /// The cells of a row: case, Gradway, PyTorch, unit, ratio, spread.
    pub fn cells(&self) -> [String; 6] {
        let (unit, size) = self.unit.readable();
        let [low, high] = self.spread;
        [
            self.case.clone(),
            format!("{:.2}", self.gradway / size),
            format!("{:.2}", self.pytorch / size),
            unit.to_string(),
            format!("{:.2}", self.ratio),
            format!("{low:.2}..{high:.2}"),
        ]
    }
}

/// Returns a table with a row for each case.
pub fn table(rows: &[CaseComparison]) -> Table {
    let heading = ["case", "Gradway", "PyTorch", "unit", "ratio", "rounds"];
    Table::of_numbers(heading, rows.iter().map(|row| row.cells().into()).collect())
}
