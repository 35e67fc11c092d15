//! Starting a run on the backend of a device.

use gradway_kernels::TrainBackend;
use gradway_trainer::{Provenance, RunConfig, RunDirectory, RunOutcome, TrainError, train};

use crate::device::{DeviceName, Job};
use crate::progress::TerminalProgress;
use crate::stop;

/// A job that trains in a folder, with progress on standard error. The first interrupt or termination signal
/// stops and saves the run after a step; a second one ends the process.
pub struct TrainJob<'a> {
    /// The configuration.
    pub config: &'a RunConfig,
    /// The folder.
    pub directory: &'a RunDirectory,
    /// The device.
    pub device: DeviceName,
    /// The progress bar.
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

/// Returns the provenance of a result, with the commit of this library.
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
