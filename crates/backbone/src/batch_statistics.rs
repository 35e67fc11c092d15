//! What training does with the statistics of batch norms.

use serde::{Deserialize, Serialize};

/// What becomes of the statistics of batch norms whose scale and shift are trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatistics {
    /// They stay those of the pre-trained network, in training too, as detectors have it: small batches do not
    /// disturb them.
    #[default]
    Frozen,
    /// Training uses those of the batch and lets the running ones follow, as in pre-training.
    Trained,
}
