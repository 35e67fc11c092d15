//! Reading weight files, and the fingerprint of loaded weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use burn_store::pytorch::PytorchReader;
use burn_store::{ModuleStore, SafetensorsStore, TensorSnapshot};
use sha2::{Digest, Sha256};

use crate::embedded;

/// Why a weight file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file is missing, unreadable or damaged.
    #[error("cannot read weights from {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The ending names no known format.
    #[error("weights file {path} has an unknown ending; expected .safetensors, .pth, .pt or .bin")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A backbone without embedded weights.
    #[error(
        "there are no embedded weights of `{backbone}`, only of {}; name a weight file",
        known.join(", ")
    )]
    NotEmbedded {
        /// The backbone.
        backbone: String,
        /// Backbones that have some.
        known: Vec<&'static str>,
    },
}

/// The tensors of a weight file by their names, each read when it is asked for.
#[derive(Debug)]
pub struct Checkpoint {
    origin: PathBuf,
    tensors: BTreeMap<String, TensorSnapshot>,
}

/// Wrappers that training scripts put around a model's own keys.
const WRAPPERS: [&str; 4] = ["state_dict.", "model.", "module.", "backbone."];

impl Checkpoint {
    /// Opens a `.safetensors` file or a PyTorch `.pth`, `.pt` or `.bin`.
    ///
    /// Wrappers such as Microsoft's `model.` or mmdetection's `backbone.` are stripped where every
    /// key has them.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] with the path where the file cannot be read.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let unreadable = |reason: String| CheckpointError::Unreadable {
            path: path.to_path_buf(),
            reason,
        };
        if let Err(error) = std::fs::File::open(path) {
            return Err(unreadable(error.to_string()));
        }
        let tensors = match path.extension().and_then(|ending| ending.to_str()) {
            Some("safetensors") => SafetensorsStore::from_file(path)
                .get_all_snapshots()
                .map_err(|error| unreadable(error.to_string()))?
                .clone(),
            Some("pth" | "pt" | "bin") => PytorchReader::new(path)
                .map_err(|error| unreadable(error.to_string()))?
                .into_tensors()
                .into_iter()
                .collect(),
            _ => {
                return Err(CheckpointError::UnknownFormat {
                    path: path.to_path_buf(),
                });
            }
        };
        Ok(Self {
            origin: path.to_path_buf(),
            tensors: unwrap(tensors),
        })
    }

    /// Reads a `.safetensors` file held in memory; `name` stands for its path in messages.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Unreadable`] where the bytes are no such file.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let tensors = SafetensorsStore::from_bytes(Some(bytes.to_vec()))
            .get_all_snapshots()
            .map_err(|error| CheckpointError::Unreadable {
                path: PathBuf::from(name),
                reason: error.to_string(),
            })?
            .clone();
        Ok(Self {
            origin: PathBuf::from(name),
            tensors: unwrap(tensors),
        })
    }

    /// The weights that are part of the library, by the name of their backbone.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NotEmbedded`] where that backbone has none.
    pub fn embedded(backbone: &str) -> Result<Self, CheckpointError> {
        let bytes = embedded::find(backbone).ok_or_else(|| CheckpointError::NotEmbedded {
            backbone: backbone.to_string(),
            known: embedded::names(),
        })?;
        Self::from_bytes(&format!("embedded weights of {backbone}"), bytes)
    }

    /// Where the tensors come from.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// Names of the tensors, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Names and shapes of the tensors, sorted.
    pub fn shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.shape.to_vec()))
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// Reads a tensor as 32-bit floats.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Unreadable`] where the tensor is absent or its bytes cannot be read.
    pub fn read(&self, key: &str) -> Result<TensorData, CheckpointError> {
        let unreadable = |reason: String| CheckpointError::Unreadable {
            path: self.origin.clone(),
            reason,
        };
        let source = self
            .tensors
            .get(key)
            .ok_or_else(|| unreadable(format!("no tensor `{key}`")))?;
        let data = source
            .to_data()
            .map_err(|error| unreadable(format!("tensor `{key}`: {error}")))?;
        Ok(data.convert_dtype(DType::F32))
    }
}

/// Strips wrappers as long as every key has them.
fn unwrap(mut tensors: BTreeMap<String, TensorSnapshot>) -> BTreeMap<String, TensorSnapshot> {
    while let Some(wrapper) = WRAPPERS
        .iter()
        .find(|wrapper| !tensors.is_empty() && tensors.keys().all(|key| key.starts_with(*wrapper)))
    {
        tensors = tensors
            .into_iter()
            .map(|(key, tensor)| (key[wrapper.len()..].to_string(), tensor))
            .collect();
    }
    tensors
}

/// SHA-256 of a module's parameters, in the order of the module, as lowercase hexadecimal.
///
/// It fingerprints the values, not a file: the same weights give the same hash from every format.
pub fn hash_module<B: Backend, M: Module<B>>(module: &M) -> String {
    struct Hasher(Sha256);

    impl<B: Backend> ModuleVisitor<B> for Hasher {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let data = param.val().into_data().convert_dtype(DType::F32);
            for side in data.shape.iter() {
                self.0.update((*side as u64).to_le_bytes());
            }
            self.0.update(data.as_bytes());
        }
    }

    let mut hasher = Hasher(Sha256::new());
    module.visit(&mut hasher);
    let digest = hasher.0.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
