//! Checkpoints: what a run changed, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use gradway_backbone::{TensorFile, TensorFileError, Words, require_finite, write_tensors};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::origin::Origin;
use crate::task::Labels;
use gradway_adapters::StateDict;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Name of the backbone.
    pub backbone: String,
    /// Hash of the backbone's weights before training.
    pub base: String,
    /// What the labels mean.
    #[serde(flatten)]
    pub labels: Labels,
    /// What it was trained with.
    pub origin: Origin,
    /// Optimiser steps done.
    pub step: usize,
    /// Epochs done.
    pub epoch: usize,
    /// Batches of the current epoch that are done.
    pub batch: usize,
    /// The best main score so far.
    pub best: Option<f64>,
    /// Most live bytes of a step so far in the memory that the device computes in, where somebody counts them.
    pub peak_bytes: Option<usize>,
    /// The same of the host, beside a device with memory of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_peak_bytes: Option<usize>,
}

/// What a checkpoint holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Where the run stands.
    pub state: TrainingState,
    /// Trained parameters and batch statistics.
    pub weights: StateDict,
    /// The optimiser's moments, with and without decay; absent in the best checkpoint.
    pub optimizer: Option<[Vec<u8>; 2]>,
}

const STATE: &str = "state";
const WEIGHTS: &str = "weights.";
const MOMENTS: [&str; 2] = ["optimizer.decayed", "optimizer.undecayed"];

impl Checkpoint {
    /// Writes the checkpoint as one `.safetensors` file with a checksum: whole or not at all.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tensors`] where a value is no finite number; [`TrainError::File`].
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
        let words = Words::from([(STATE.to_string(), state)]);
        write_tensors(path, &tensors, Some(words)).map_err(|error| wrong(&error))
    }

    /// Reads a checkpoint, and compares it with its checksum.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tensors`] where the file is missing or damaged, a tensor is of another type or holds what is no
    /// finite number; [`TrainError::File`] where it is no checkpoint.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let wrong = |error: &dyn ToString| TrainError::file(path, error.to_string());
        let file = TensorFile::open(path)?;
        let state = file.words().get(STATE);
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
