//! The treatment of batch norm statistics in training.

use serde::{Deserialize, Serialize};

/// The statistics of batch norms whose scale and shift are trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatistics {
    /// The pre-trained running statistics are used in training too, as is common for detectors: small batches
    /// do not disturb them.
    #[default]
    Frozen,
    /// Training uses the statistics of the batch and updates the running ones, as in pre-training.
    Trained,
}
