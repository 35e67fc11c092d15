//! Checkpoints, which hold only the values that a run changed.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use gradway_backbone::{
    HeaderMetadata, TensorFile, TensorFileError, require_finite, write_tensors,
};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::origin::Origin;
use crate::task::Labels;
use gradway_adapters::StateDict;

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Name of the backbone.
    pub backbone: String,
    /// Hash of the backbone's weights before training.
    pub base: String,
    /// The meaning of the labels.
    #[serde(flatten)]
    pub labels: Labels,
    /// The settings and data that the run was trained with.
    pub origin: Origin,
    /// Number of optimiser steps done.
    pub step: usize,
    /// Number of epochs done.
    pub epoch: usize,
    /// Number of batches done in the current epoch.
    pub batch: usize,
    /// Whether the last epoch done is yet to be evaluated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unevaluated: bool,
    /// The best main score so far.
    pub best: Option<f64>,
    /// Peak number of live bytes of a step so far, in the memory that the device computes in. `None` if it is
    /// not measured.
    pub peak_bytes: Option<usize>,
    /// The same for the host's memory, if the device has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_peak_bytes: Option<usize>,
}

/// The content of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The state of the run.
    pub state: TrainingState,
    /// Trained parameters and batch statistics.
    pub weights: StateDict,
    /// The optimiser's moments of parameters with and without weight decay; absent in the best checkpoint.
    pub optimizer: Option<[Vec<u8>; 2]>,
}

const STATE: &str = "state";
const WEIGHTS: &str = "weights.";
const MOMENTS: [&str; 2] = ["optimizer.decayed", "optimizer.undecayed"];

impl Checkpoint {
    /// Writes the checkpoint as one `.safetensors` file with a checksum, atomically.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tensors`] if a value is not finite; [`TrainError::File`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let wrong = |error: &dyn ToString| TrainError::file(path, error.to_string());
        require_finite(path, &self.weights)?;
        let weights = self.weights.iter();
        let mut tensors: BTreeMap<_, _> = weights
            .map(|(name, data)| (format!("{WEIGHTS}{name}"), data.clone()))
            .collect();
        for (name, bytes) in MOMENTS.iter().zip(self.optimizer.iter().flatten()) {
            let data = TensorData::new(bytes.clone(), [bytes.len()]);
            tensors.insert((*name).to_string(), data);
        }
        let state = serde_json::to_string(&self.state).map_err(|error| wrong(&error))?;
        let metadata = HeaderMetadata::from([(STATE.to_string(), state)]);
        write_tensors(path, &tensors, Some(metadata)).map_err(|error| wrong(&error))
    }

    /// Reads a checkpoint and compares it with its checksum.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tensors`] if the file is missing or damaged, or a tensor has the wrong type or holds a
    /// value that is not finite; [`TrainError::File`] if it is not a checkpoint.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let wrong = |error: &dyn ToString| TrainError::file(path, error.to_string());
        let file = TensorFile::open(path)?;
        let state = file.metadata().get(STATE);
        let state = state
            .ok_or_else(|| wrong(&"it is not a checkpoint of a run: its header has no `state`"))?;
        let weights = file
            .names()
            .filter_map(|name| Some((name, name.strip_prefix(WEIGHTS)?)))
            .map(|(name, path)| Ok((path.to_string(), file.floats(name)?)));
        let weights = weights.collect::<Result<_, TensorFileError>>()?;
        let [decayed, undecayed] = MOMENTS;
        let optimizer = match file.contains(decayed) && file.contains(undecayed) {
            true => Some([file.bytes(decayed)?, file.bytes(undecayed)?]),
            false => None,
        };
        file.verify()?;
        Ok(Self {
            state: serde_json::from_str(state).map_err(|error| wrong(&error))?,
            weights,
            optimizer,
        })
    }
}
