//! Several runs side by side.

use std::path::Path;

use gradway_backbone::Backbone;
use gradway_kernels::TrainBackend;
use gradway_trainer::{RunConfig, RunDirectory, RunOutcome, TrainError, is_resolved_as};

use crate::device::{DeviceError, DeviceName, Job, run_on};
use crate::progress::TerminalProgress;
use crate::run::TrainJob;

pub use crate::error::CompareError;

/// Trains each named configuration in its own folder below `out`, one after the other, with progress on
/// standard error.
///
/// Finished runs are read and interrupted runs are resumed, so a long comparison can be stopped and started again.
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
            let (directory, config) = if RunDirectory::holds_a_run(&path) {
                let (directory, saved) = RunDirectory::open(&path).map_err(failed)?;
                if !is_resolved_as(config, &saved) {
                    return Err(CompareError::OtherConfig {
                        path: directory.config_file(),
                    });
                }
                (directory, saved)
            } else {
                let directory = RunDirectory::create(&path, config).map_err(failed)?;
                (directory, config.clone())
            };
            if let Some(outcome) = directory.result().map_err(failed)? {
                return Ok((name.clone(), outcome));
            }
            let job = TrainJob {
                config: &config,
                directory: &directory,
                device,
                progress: TerminalProgress::labelled(format!("{name:<width$}")),
            };
            let outcome = run_on(device, job)?.map_err(failed)?;
            Ok((name.clone(), outcome))
        })
        .collect()
}

/// Checks that a configuration's method fits its backbone, without drawing weights.
///
/// # Errors
///
/// [`TrainError::Method`] if it does not fit, [`TrainError::Backbone`] if the backbone is unknown.
pub fn check_method(config: &RunConfig) -> Result<Result<(), TrainError>, DeviceError> {
    // Checking needs no accelerator.
    run_on(DeviceName::default(), Fit(config))
}

struct Fit<'a>(&'a RunConfig);

impl Job for Fit<'_> {
    type Output = Result<(), TrainError>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output {
        let backbone = self.0.backbone.init::<B::InnerBackend>(&device)?;
        Ok(self.0.method.check(&backbone.description())?)
    }
}
