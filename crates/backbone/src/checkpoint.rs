//! Reading weight files, and the fingerprint of loaded weights.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use sha2::{Digest, Sha256};

use crate::embedded;
use crate::file::{
    Container, Fault, SAVE_ALONE, Stored, WeightFile, open_pytorch, open_safetensors,
    safetensors_from_bytes,
};

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
    /// A record of a zip archive is missing or damaged.
    #[error("cannot read weights from {path}: record `{record}` {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The record.
        record: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A parameter's key holds something that is not read as a tensor.
    #[error("cannot read `{key}` of {path}: it is {what}; {SAVE_ALONE}")]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What it holds.
        what: String,
    },
    /// Several sets of weights that would fit, and none was chosen.
    #[error(
        "{path} holds weights for this backbone {} times: {}; choose one with `weights_key`",
        places.len(), quoted(places)
    )]
    Several {
        /// The file.
        path: PathBuf,
        /// Where they are; an empty name is the top of the file.
        places: Vec<String>,
    },
    /// A key that was chosen, with nothing below it.
    #[error(
        "{path} has no weights for this backbone below `{key}`{}",
        if places.is_empty() { String::new() } else { format!("; the file has weights in {}", quoted(places)) }
    )]
    NothingBelow {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Where there are some.
        places: Vec<String>,
    },
    /// The ending names no known format.
    #[error(
        "weights file {path} has an unknown extension; expected .safetensors, .pth, .pt or .bin"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A backbone without embedded weights.
    #[error(
        "there are no embedded weights for `{backbone}`, only for {}; set a weight file",
        known.join(", ")
    )]
    NotEmbedded {
        /// The backbone.
        backbone: String,
        /// Backbones that have some.
        known: Vec<&'static str>,
    },
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// The tensors of a weight file by their names, each read when it is asked for.
#[derive(Clone)]
pub struct Checkpoint {
    pub(crate) origin: PathBuf,
    /// What was taken off the front of every tensor's name, with the point behind it.
    pub(crate) wrapper: String,
    /// Where to look for a backbone's weights.
    pub(crate) weights_key: Option<String>,
    pub(crate) tensors: BTreeMap<String, Stored>,
    /// What is no tensor, by its whole name.
    pub(crate) others: BTreeMap<String, String>,
    container: Rc<RefCell<Container>>,
}

/// Wrappers that training scripts put around a model's own keys.
const WRAPPERS: [&str; 4] = ["state_dict.", "model.", "module.", "backbone."];

impl Checkpoint {
    /// Opens a `.safetensors` file or a PyTorch `.pth`, `.pt` or `.bin`.
    ///
    /// Wrappers such as Microsoft's `model.` are stripped where every tensor has them. Nothing of the file is
    /// executed: of a pickle, tensors are read and everything else is passed over.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] with the path where the file cannot be read.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let open = match path.extension().and_then(|ending| ending.to_str()) {
            Some("safetensors") => open_safetensors,
            Some("pth" | "pt" | "bin") => open_pytorch,
            _ => {
                return Err(CheckpointError::UnknownFormat {
                    path: path.to_path_buf(),
                });
            }
        };
        let file = File::open(path).map_err(Fault::from).and_then(open);
        file.map(|file| Self::new(path, file))
            .map_err(|fault| wrong(path, fault))
    }

    /// Reads a `.safetensors` file held in memory; `name` stands for its path in messages.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Unreadable`] where the bytes are no such file.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, CheckpointError> {
        Self::from_memory(name, Cow::Owned(bytes.to_vec()))
    }

    fn from_memory(name: &str, bytes: Cow<'static, [u8]>) -> Result<Self, CheckpointError> {
        let path = Path::new(name);
        let file = safetensors_from_bytes(bytes).map_err(|fault| wrong(path, fault))?;
        Ok(Self::new(path, file))
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
        Self::from_memory(&format!("embedded weights of {backbone}"), bytes.into())
    }

    fn new(path: &Path, file: WeightFile) -> Self {
        let (wrapper, tensors) = unwrap(file.tensors);
        Self {
            origin: path.to_path_buf(),
            wrapper,
            weights_key: None,
            tensors,
            others: file.others,
            container: Rc::new(RefCell::new(file.container)),
        }
    }

    /// Says below which key of the file a backbone's weights are, such as `state_dict_ema` or
    /// `teacher.backbone`, for files that hold several.
    pub fn with_weights_key(mut self, key: Option<String>) -> Self {
        self.weights_key = key.map(|key| key.trim_end_matches('.').to_string());
        self
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
            .map(|(name, tensor)| (name.clone(), tensor.layout.shape().to_vec()))
    }

    /// Shape of a tensor, if there is one of this name.
    pub fn shape(&self, key: &str) -> Option<&[usize]> {
        self.tensors.get(key).map(|tensor| tensor.layout.shape())
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// Holds all numbers against the checksums that the file has.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`] with the record that is missing or damaged.
    pub fn verify(&self) -> Result<(), CheckpointError> {
        let mut container = self.container.borrow_mut();
        let mut tensors = self.tensors.values();
        let verified = tensors.try_for_each(|tensor| container.verify(&tensor.place));
        verified.map_err(|fault| wrong(&self.origin, fault))
    }

    /// Reads a tensor as 32-bit floats, in the order of its shape.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] where the tensor is absent or its bytes cannot be read.
    pub fn read(&self, key: &str) -> Result<TensorData, CheckpointError> {
        let stored = self
            .tensors
            .get(key)
            .ok_or_else(|| CheckpointError::Unreadable {
                path: self.origin.clone(),
                reason: format!("no tensor `{key}`"),
            })?;
        let values = self.container.borrow_mut().values(stored);
        let values = values.map_err(|fault| match fault {
            Fault::Record { .. } => wrong(&self.origin, fault),
            other => wrong(
                &self.origin,
                Fault::format(format!("tensor `{key}`: {other}")),
            ),
        })?;
        Ok(TensorData::new(values, stored.layout.shape().to_vec()))
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("origin", &self.origin)
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}

fn wrong(path: &Path, fault: Fault) -> CheckpointError {
    let path = path.to_path_buf();
    match fault {
        Fault::Record { record, reason } => CheckpointError::Damaged {
            path,
            record,
            reason,
        },
        other => CheckpointError::Unreadable {
            path,
            reason: other.to_string(),
        },
    }
}

/// Strips wrappers as long as every key has them; returns what was stripped, too.
fn unwrap(mut tensors: BTreeMap<String, Stored>) -> (String, BTreeMap<String, Stored>) {
    let mut stripped = String::new();
    while let Some(wrapper) = WRAPPERS
        .iter()
        .find(|wrapper| !tensors.is_empty() && tensors.keys().all(|key| key.starts_with(*wrapper)))
    {
        stripped.push_str(wrapper);
        tensors = tensors
            .into_iter()
            .map(|(key, tensor)| (key[wrapper.len()..].to_string(), tensor))
            .collect();
    }
    (stripped, tensors)
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
