//! A run on whichever backend a device belongs to, as binaries start it.

use gradway_kernels::TrainBackend;
use gradway_trainer::{Provenance, RunConfig, RunDirectory, RunOutcome, TrainError, train};

use crate::device::{DeviceName, Job};
use crate::progress::TerminalProgress;
use crate::stop;

/// A run in its folder, with progress on standard error. The first interrupt or termination signal stops it
/// after a step, saved; a second one ends the process.
pub struct TrainJob<'a> {
    /// What to train.
    pub config: &'a RunConfig,
    /// Where.
    pub directory: &'a RunDirectory,
    /// On what.
    pub device: DeviceName,
    /// Is told how it goes.
    pub progress: TerminalProgress,
}

impl Job for TrainJob<'_> {
    type Output = Result<RunOutcome, TrainError>;

    fn run<B: TrainBackend>(mut self, device: B::Device) -> Self::Output {
        if let Err(error) = stop::on_signals() {
            self.progress.line(&format!(
                "cannot handle signals, which will end the run immediately: {error}"
            ));
        }
        let provenance = provenance::<B>(self.config, &device, self.device);
        train::<B>(
            self.config,
            self.directory,
            &device,
            provenance,
            &mut self.progress,
        )
    }
}

/// What a result says of its origin: that of this library, its commit with it.
pub fn provenance<B: TrainBackend>(
    config: &RunConfig,
    device: &B::Device,
    name: DeviceName,
) -> Provenance {
    Provenance {
        commit: option_env!("GRADWAY_COMMIT").map(String::from),
        ..Provenance::new(config, B::name(device), name)
    }
}
