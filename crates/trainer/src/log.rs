//! `metrics.jsonl`: a line of JSON per step and evaluation.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::checkpoint::TrainingState;
use crate::error::TrainError;
use crate::median::median;

/// Appends lines to a file.
pub(crate) struct MetricsLog {
    path: PathBuf,
    file: BufWriter<File>,
}

impl MetricsLog {
    /// Opens the log of a run at a checkpoint.
    ///
    /// A process that was killed may have logged steps and an evaluation after its last checkpoint. These are run
    /// again, so their lines are removed.
    pub(crate) fn open(path: &Path, state: &TrainingState) -> Result<Self, TrainError> {
        let wrong = |error: std::io::Error| TrainError::file(path, error);
        let kept = match fs::read_to_string(path) {
            Ok(text) => text
                .lines()
                .filter(|line| is_before(line, state))
                .map(|line| format!("{line}\n"))
                .collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(wrong(error)),
        };
        fs::write(path, kept).map_err(wrong)?;
        let file = OpenOptions::new().append(true).open(path).map_err(wrong)?;
        Ok(Self {
            path: path.to_path_buf(),
            file: BufWriter::new(file),
        })
    }

    /// Writes a line with `kind` as its first key.
    pub(crate) fn write(&mut self, kind: &str, line: &impl Serialize) -> Result<(), TrainError> {
        #[derive(Serialize)]
        struct Line<'a, T> {
            event: &'a str,
            #[serde(flatten)]
            rest: &'a T,
        }

        let line = Line {
            event: kind,
            rest: line,
        };
        let text =
            serde_json::to_string(&line).map_err(|error| TrainError::file(&self.path, error))?;
        // Flushed at once: the log is what is left of a run that dies.
        writeln!(self.file, "{text}")
            .and_then(|()| self.file.flush())
            .map_err(|error| TrainError::file(&self.path, error))
    }
}

/// Returns the median wall time of the logged steps in seconds; 0 if there are none.
///
/// It reads the log, since an interrupted run consists of several processes.
pub(crate) fn median_step_seconds(path: &Path) -> Result<f64, TrainError> {
    let text = fs::read_to_string(path).map_err(|error| TrainError::file(path, error))?;
    let seconds = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line.get("event")? == "step").then(|| line.get("seconds")?.as_f64())?
    };
    Ok(median(text.lines().filter_map(seconds)))
}

/// Whether a line was logged before a checkpoint was written; a line that is cut off was not.
fn is_before(line: &str, state: &TrainingState) -> bool {
    let Ok(line) = serde_json::from_str::<Value>(line) else {
        return false;
    };
    let step = line.get("step").and_then(Value::as_u64);
    let is_due_again = state.unevaluated && line.get("event") == Some(&Value::from("evaluation"));
    let last = state.step as u64;
    step.is_some_and(|step| step < last || step == last && !is_due_again)
}
