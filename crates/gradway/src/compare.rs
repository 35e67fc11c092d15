//! Several runs side by side.

use std::path::Path;

use gradway_kernels::TrainBackend;
use gradway_trainer::{Provenance, RunConfig, RunDirectory, RunOutcome, TrainError, train};

use crate::device::{DeviceError, DeviceName, Job, run_on};
use crate::progress::TerminalProgress;

/// Why a comparison stopped; runs that were done by then stay.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A run could not start or go on.
    #[error("run `{run}`")]
    Run {
        /// Name of the run.
        run: String,
        /// Why.
        source: TrainError,
    },
    /// A run of the same name in the same folder has another configuration.
    #[error("{path} was started with another configuration; remove it or choose another folder")]
    OtherConfig {
        /// The run's configuration.
        path: std::path::PathBuf,
    },
}

/// Trains each named configuration in a folder of its own below `out`, one after the other, with
/// progress on standard error.
///
/// A run that is finished is read back, one that was interrupted goes on: a comparison that takes
/// hours can be stopped and started again.
///
/// # Errors
///
/// [`CompareError`] of the first run that fails.
pub fn compare(
    runs: &[(String, RunConfig)],
    out: &Path,
    device: DeviceName,
) -> Result<Vec<(String, RunOutcome)>, CompareError> {
    let width = runs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    runs.iter()
        .map(|(name, config)| {
            let failed = |source| CompareError::Run {
                run: name.clone(),
                source,
            };
            let path = out.join(name);
            let directory = if path.join("config.toml").exists() {
                let (directory, saved) = RunDirectory::open(&path).map_err(failed)?;
                if saved != *config {
                    return Err(CompareError::OtherConfig {
                        path: directory.config_file(),
                    });
                }
                directory
            } else {
                RunDirectory::create(&path, config).map_err(failed)?
            };
            if let Some(outcome) = directory.result().map_err(failed)? {
                return Ok((name.clone(), outcome));
            }
            let job = TrainJob {
                config,
                directory: &directory,
                device,
                progress: TerminalProgress::labelled(format!("{name:<width$}")),
            };
            let outcome = run_on(device, job)?.map_err(failed)?;
            Ok((name.clone(), outcome))
        })
        .collect()
}

/// A run in its folder, on whichever backend a device belongs to.
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
        let provenance = Provenance::new(self.config, B::name(&device), self.device);
        train::<B>(
            self.config,
            self.directory,
            &device,
            provenance,
            &mut self.progress,
        )
    }
}
