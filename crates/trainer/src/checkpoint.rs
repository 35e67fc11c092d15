//! Checkpoints: what a run changed, and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use gradway_backbone::write_tensors;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
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
    /// Writes the checkpoint as one `.safetensors` file: whole or not at all.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`].
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let wrong = |error: &dyn ToString| TrainError::file(path, error.to_string());
        let weights = self.weights.iter();
        let mut tensors: BTreeMap<_, _> = weights
            .map(|(name, data)| (format!("{WEIGHTS}{name}"), data.clone()))
            .collect();
        for (name, bytes) in MOMENTS.iter().zip(self.optimizer.iter().flatten()) {
            let data = TensorData::new(bytes.clone(), [bytes.len()]);
            tensors.insert((*name).to_string(), data);
        }
        let state = serde_json::to_string(&self.state).map_err(|error| wrong(&error))?;
        let header = HashMap::from([(STATE.to_string(), state)]);
        write_tensors(path, &tensors, Some(header)).map_err(|error| wrong(&error))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`] where the file is missing, damaged or no checkpoint.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let wrong = |error: &dyn ToString| TrainError::file(path, error.to_string());
        let bytes = fs::read(path).map_err(|error| wrong(&error))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| wrong(&error))?;
        let state = header
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get(STATE))
            .ok_or_else(|| wrong(&"it is no checkpoint of a run: its header has no `state`"))?;
        let state = serde_json::from_str(state).map_err(|error| wrong(&error))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| wrong(&error))?;
        let weights = tensors
            .iter()
            .filter_map(|(name, view)| Some((name.strip_prefix(WEIGHTS)?, view)))
            .map(|(name, view)| {
                let shape = view.shape().to_vec();
                let data = TensorData::from_bytes_vec(view.data().to_vec(), shape, DType::F32);
                (name.to_string(), data)
            })
            .collect();
        let moments = MOMENTS.map(|name| tensors.tensor(name).map(|view| view.data().to_vec()));
        let optimizer = match moments {
            [Ok(decayed), Ok(undecayed)] => Some([decayed, undecayed]),
            _ => None,
        };
        Ok(Self {
            state,
            weights,
            optimizer,
        })
    }
}
