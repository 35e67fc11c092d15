//! Errors of runs side by side, and what to do about them.

use gradway_trainer::TrainError;

use crate::device::DeviceError;

/// The error that stopped a comparison; finished runs are kept.
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
    /// A run with the same name in the same folder has another configuration.
    #[error("{path} was started with another configuration; remove it or choose another folder")]
    OtherConfig {
        /// The run's configuration.
        path: std::path::PathBuf,
    },
}

impl CompareError {
    /// Returns a suggestion to fix the error, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Run {
                source: TrainError::Stopped { .. },
                ..
            } => Some("start it again with the same folder to resume".to_string()),
            _ => None,
        }
    }
}
