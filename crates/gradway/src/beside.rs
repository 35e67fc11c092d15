//! The same work on both sides: ours and another library's.

use serde::{Deserialize, Serialize};

use crate::table::Table;

/// A case as both sides ran it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// Name of the case.
    pub case: String,
    /// Of what is compared.
    pub unit: Unit,
    /// Ours, the median.
    pub gradway: f64,
    /// Theirs, the median.
    pub pytorch: f64,
    /// The median over the rounds of ours over theirs.
    pub ratio: f64,
    /// The smallest and the largest ratio of a round.
    pub spread: [f64; 2],
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Of wall time.
    Seconds,
    /// Of memory.
    Bytes,
}

impl Unit {
    /// Name and size of what people read.
    fn readable(self) -> (&'static str, f64) {
        match self {
            Self::Seconds => ("ms", 1e-3),
            Self::Bytes => ("MiB", f64::from(1 << 20)),
        }
    }
}

impl Beside {
    /// Case, ours, theirs, unit, ratio, spread.
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

/// A row for each case.
pub fn table(rows: &[Beside]) -> Table {
    let heading = ["case", "Gradway", "PyTorch", "unit", "ratio", "rounds"];
    Table::of_numbers(heading, rows.iter().map(|row| row.cells().into()).collect())
}
