//! Errors of runs side by side, and what to do about them.

use gradway_trainer::TrainError;

use crate::device::DeviceError;

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

impl CompareError {
    /// What would be right, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Run {
                source: TrainError::Stopped { .. },
                ..
            } => Some("start it again with the same folder: it goes on where it was".to_string()),
            _ => None,
        }
    }
}
