//! Several runs side by side.

use std::path::Path;

use gradway_backbone::Backbone;
use gradway_kernels::TrainBackend;
use gradway_trainer::config::{MethodOverrides, Overrides, to_toml};
use gradway_trainer::{RunConfig, RunDirectory, RunOutcome, TrainError};

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
            let directory = if RunDirectory::holds_a_run(&path) {
                let (directory, saved) = RunDirectory::open(&path).map_err(failed)?;
                // As they are saved: with paths in full.
                if to_toml(&saved) != to_toml(config) {
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

/// Returns the overrides of each method that an option names, as [`Overrides::by_method`].
///
/// # Errors
///
/// As there. A key that no method has is compared with the keys of all methods to suggest the nearest one.
pub fn by_method(
    set: &Overrides,
    option: &str,
    methods: &[impl AsRef<str>],
) -> Result<Vec<MethodOverrides>, TrainError> {
    let (origin, reason) = match set.by_method(option, methods) {
        Err(TrainError::Key { origin, reason, .. })
            if methods.len() > 1 && reason.starts_with("unknown field `") =>
        {
            (origin, reason)
        }
        result => return result,
    };
    // The error speaks of the first method; another one may have a key of nearly that name.
    let (field, _) = reason.split_once("; ").unwrap_or((&reason, ""));
    let nearer = methods.iter().find_map(|method| {
        let error = set.by_method(option, &[method]).err()?;
        let TrainError::Key { reason, .. } = &error else {
            return None;
        };
        let suggestion = reason.strip_prefix(field)?;
        (!suggestion.is_empty()).then_some(error)
    });
    Err(nearer.unwrap_or_else(|| {
        let methods: Vec<&str> = methods.iter().map(AsRef::as_ref).collect();
        TrainError::Key {
            origin,
            hint: Some(format!(
                "none of these methods has such a key: {}",
                methods.join(", ")
            )),
            reason,
        }
    }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_compared_with_the_keys_of_all_methods() {
        let error = |methods: &[&str]| {
            let set = Overrides::set(&["method.rnk=8"]).unwrap();
            by_method(&set, "--methods", methods).unwrap_err()
        };
        let unknown = "--set method.rnk=8: unknown field `rnk` in [method]";
        let near = error(&["fixed", "full", "e3va"]).to_string();
        assert_eq!(near, format!("{unknown}; did you mean `rank`?"));
        let far = error(&["fixed", "full"]);
        assert_eq!(far.to_string(), unknown);
        let hint = "none of these methods has such a key: fixed, full";
        assert_eq!(far.hint().as_deref(), Some(hint));
    }
}
