//! The folder of a run and its checkpoints: what the run changed, and nothing else.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use gradway_backbone::{TensorFile, TensorFileError, Words, require_finite, write_tensors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::{self, RunConfig};
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
    /// Most live bytes of a step so far, where somebody counts them.
    pub peak_bytes: Option<usize>,
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
            .ok_or_else(|| wrong(&"it is no checkpoint of a run: its header has no `state`"))?;
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

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    gradway_backbone::write_whole(path, bytes).map_err(|error| TrainError::file(path, error))
}

/// The folder of a run.
///
/// | file | holds |
/// |---|---|
/// | `config.toml` | the resolved configuration |
/// | `metrics.jsonl` | a line per step and evaluation |
/// | `last.safetensors` | the newest checkpoint, to resume from |
/// | `best.safetensors` | the checkpoint of the best evaluation |
/// | `result.json` | scores, memory, time and provenance, once the run is done |
/// | `lock` | nothing; held by the process that trains |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Name of the file that says what came of a run.
    pub const RESULT: &str = "result.json";

    /// Makes the folder of a new run and saves its configuration there.
    ///
    /// # Errors
    ///
    /// [`TrainError`] where it cannot be written or holds a run already.
    pub fn create(path: &Path, config: &RunConfig) -> Result<Self, TrainError> {
        let directory = Self {
            path: path.to_path_buf(),
        };
        if directory.config_file().exists() {
            return Err(TrainError::RunExists {
                path: path.to_path_buf(),
            });
        }
        fs::create_dir_all(path).map_err(|error| TrainError::file(path, error))?;
        let file = directory.config_file();
        let text = config::to_toml(config).map_err(|error| TrainError::file(&file, error))?;
        write_whole(&file, text.as_bytes())?;
        Ok(directory)
    }

    /// Opens the folder of an earlier run with the configuration saved there.
    ///
    /// # Errors
    ///
    /// [`TrainError`] where it is no run or its configuration cannot be read.
    pub fn open(path: &Path) -> Result<(Self, RunConfig), TrainError> {
        let directory = Self {
            path: path.to_path_buf(),
        };
        if !directory.config_file().is_file() {
            return Err(TrainError::file(
                path,
                "it is no folder of a run: there is no `config.toml`",
            ));
        }
        let config = config::load(&directory.config_file(), &[])?;
        Ok((directory, config))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved configuration.
    pub fn config_file(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// A line per step and evaluation.
    pub fn metrics_file(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The newest checkpoint.
    pub fn last_file(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// The checkpoint of the best evaluation.
    pub fn best_file(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// The newest checkpoint or the best one.
    pub fn checkpoint_file(&self, last: bool) -> PathBuf {
        if last {
            self.last_file()
        } else {
            self.best_file()
        }
    }

    /// What came of the run.
    pub fn result_file(&self) -> PathBuf {
        self.path.join(Self::RESULT)
    }

    /// Keeps other processes from training here as long as the answer lives.
    pub(crate) fn lock(&self) -> Result<File, TrainError> {
        let path = self.path.join("lock");
        let file = File::create(&path).map_err(|error| TrainError::file(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(TrainError::Busy {
                path: self.path.clone(),
            }),
            // Not every file system can lock.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(file),
            Err(TryLockError::Error(error)) => Err(TrainError::file(&path, error)),
        }
    }

    /// What came of the run, if it is done.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`] where it cannot be read.
    pub fn result<T: DeserializeOwned>(&self) -> Result<Option<T>, TrainError> {
        let path = self.result_file();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| TrainError::file(&path, error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TrainError::file(&path, error)),
        }
    }

    /// Writes what came of the run.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`].
    pub fn write_result(&self, result: &impl Serialize) -> Result<(), TrainError> {
        let path = self.result_file();
        let text =
            serde_json::to_string_pretty(result).map_err(|error| TrainError::file(&path, error))?;
        write_whole(&path, text.as_bytes())
    }
}
