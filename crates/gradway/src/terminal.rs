//! Messages and exit status of a binary.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use gradway_backbone::WeightsError;
use gradway_data::DataError;
use gradway_hub::HubError;
use gradway_metrics::DetectionError;
use gradway_trainer::TrainError;

use crate::error::CompareError;
use crate::stop;

/// Writes a line to standard error. If standard error is closed or full, the line is dropped without an error.
pub fn note(text: impl Display) {
    // In one piece, so that lines of several processes do not mix.
    let line = format!("{text}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Writes data and a newline to standard output. If its reader has closed it, as `| head` does, the data is
/// dropped without an error: what a command does besides goes on.
///
/// # Errors
///
/// An error of the operating system.
pub fn print(data: impl Display) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{data}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// An error of data with the hint of a command, where its own speaks of keys that the command does not have.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct Advised {
    /// The error.
    pub source: DataError,
    /// What to do about it.
    pub hint: String,
}

/// Returns the exit status for the result of a binary: 0, or 1 after writing the error and a hint to standard
/// error. A run stopped by a signal has the status of that signal, as in shells.
pub fn status(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    note(format_args!("error: {}", describe(&error)));
    if let Some(hint) = hint(&error) {
        note(format_args!("hint: {hint}"));
    }
    let is_stopped = |cause: &(dyn std::error::Error + 'static)| {
        let cause = cause.downcast_ref::<TrainError>();
        cause.is_some_and(TrainError::is_stop)
    };
    match stop::signal() {
        Some(signal) if error.chain().any(is_stopped) => ExitCode::from(128 + signal),
        _ => ExitCode::FAILURE,
    }
}

/// Returns an error and its causes in one line, without causes that an error already contains.
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The suggestion of the error, if it has one.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let advised = cause.downcast_ref::<Advised>();
        let advised = advised.map(|error| error.hint.clone());
        let compare = cause
            .downcast_ref::<CompareError>()
            .and_then(CompareError::hint);
        let train = || {
            cause
                .downcast_ref::<TrainError>()
                .and_then(TrainError::hint)
        };
        let data = || cause.downcast_ref::<DataError>().and_then(DataError::hint);
        let detection = || {
            cause
                .downcast_ref::<DetectionError>()
                .and_then(DetectionError::hint)
        };
        let weights = || {
            cause
                .downcast_ref::<WeightsError>()
                .and_then(WeightsError::hint)
        };
        let hub = || cause.downcast_ref::<HubError>().and_then(HubError::hint);
        let compare = advised.or(compare);
        let runs = compare.or_else(train).or_else(data).or_else(detection);
        runs.or_else(weights).or_else(hub)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_an_error_names_itself_is_not_said_again() {
        let io = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let named = DataError::Read {
            path: "a.png".into(),
            source: std::sync::Arc::new(io()),
        };
        let error = anyhow::Error::from(named).context("sample `a`");
        assert_eq!(
            describe(&error),
            "sample `a`: a.png cannot be read: no such file"
        );
        let error = Err::<(), _>(io())
            .context("cannot write b.json")
            .unwrap_err();
        assert_eq!(describe(&error), "cannot write b.json: no such file");
    }
}
