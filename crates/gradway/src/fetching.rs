//! Weights of the hub for a binary: with a progress bar on standard error.

use std::io::{self, IsTerminal};

use gradway_backbone::{Checkpoint, WeightSource, WeightsError};
use gradway_hub::{Hub, Observer, Progress};
use gradway_trainer::{RunConfig, TrainError, fetch_weights};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{stop, terminal};

/// Shows the progress of a download. If standard error is not a terminal, there are only warnings.
#[derive(Debug)]
pub struct FetchProgress {
    bar: ProgressBar,
    /// Whether the bar is that of the present download.
    has_bar: bool,
}

impl Default for FetchProgress {
    fn default() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            has_bar: false,
        }
    }
}

impl FetchProgress {
    /// Shows an event.
    pub fn show(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Waiting => {
                self.remark("another process downloads the weights; waiting for it")
            }
            Progress::Started { what, done, size } => self.start(what, done, size),
            Progress::Received { done } => self.bar.set_position(done),
            Progress::Retrying { reason, pause } => self.remark(&format!(
                "{reason}; next attempt in {:.0} s",
                pause.as_secs_f64()
            )),
            Progress::Stale { reason } => terminal::note(format_args!(
                "warning: the weights are those of the cache, which may not be the newest: {reason}"
            )),
            Progress::Finished => {
                self.bar.finish_and_clear();
                self.has_bar = false;
            }
        }
    }

    fn start(&mut self, what: &str, done: u64, size: Option<u64>) {
        if !self.has_bar {
            const KNOWN: &str =
                "{prefix} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
            const UNKNOWN: &str = "{prefix} {bytes} {bytes_per_sec}";
            let (bar, template) = match size {
                Some(size) => (ProgressBar::new(size), KNOWN),
                None => (ProgressBar::no_length(), UNKNOWN),
            };
            self.bar = bar;
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
            self.bar.set_prefix(what.to_string());
            self.has_bar = true;
        }
        self.bar.set_position(done);
        // The speed is that of this attempt.
        self.bar.reset_eta();
    }

    /// A line that matters only to who is waiting.
    fn remark(&self, text: &str) {
        if io::stderr().is_terminal() {
            self.bar.suspend(|| terminal::note(text));
        }
    }
}

impl Drop for FetchProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for FetchProgress {
    fn progress(&mut self, progress: Progress<'_>) {
        self.show(progress);
    }

    fn stops(&self) -> bool {
        stop::requested()
    }
}

/// Puts the weights of a configuration in the cache, with a progress bar; see [`fetch_weights`].
///
/// # Errors
///
/// As [`fetch_weights`].
pub fn fetched(config: &RunConfig) -> Result<RunConfig, TrainError> {
    fetch_weights(config, &mut FetchProgress::default())
}

/// Opens the weights of a backbone, wherever they come from, with a progress bar for a download.
///
/// # Errors
///
/// As [`WeightSource::open`].
pub fn open(source: &WeightSource, backbone: &str) -> Result<Checkpoint, WeightsError> {
    source.open(
        backbone,
        Hub::from_environment,
        &mut FetchProgress::default(),
    )
}
