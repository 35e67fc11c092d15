//! The provenance of results.

use gradway_backbone::Precision;
use serde::{Deserialize, Serialize};

use crate::config::RunConfig;

/// The provenance of a result file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of this library.
    pub version: String,
    /// Commit that the binary was built from, with `-dirty` if its sources differed; absent outside a repository.
    pub commit: Option<String>,
    /// Burn's name for the backend.
    pub backend: String,
    /// Device, as named on the command line.
    pub device: String,
    /// Number of threads of the CPU thread pool: `RAYON_NUM_THREADS`, or the number of the machine's processors.
    pub threads: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Images per optimiser step.
    pub total_batch: usize,
    /// Height and width of training images.
    pub resolution: [u32; 2],
    /// Number format of the backbone; everything else is single precision.
    pub precision: Precision,
}

impl Provenance {
    /// The provenance of a run of `config` on `device`. The caller sets the commit, which only the binary knows.
    pub fn new(config: &RunConfig, backend: String, device: impl ToString) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: None,
            backend,
            device: device.to_string(),
            threads: rayon::current_num_threads(),
            seed: config.seed,
            total_batch: config.total_batch(),
            resolution: config.task.resolution(),
            precision: config.backbone.precision,
        }
    }
}
