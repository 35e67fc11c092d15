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
use crate::tensor_file::HeaderMetadata;

/// The error of reading a weight file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file is missing, unreadable or damaged.
    #[error("cannot read weights from {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reader's message.
        reason: String,
    },
    /// A record of a zip archive is missing or damaged.
    #[error("cannot read weights from {path}: record `{record}` {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The record.
        record: String,
        /// The reason.
        reason: String,
    },
    /// The key of a parameter holds something other than a tensor.
    #[error("cannot read `{key}` of {path}: it is {what}; {SAVE_ALONE}")]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its content.
        what: String,
    },
    /// Several sets of weights fit, and none was selected.
    #[error(
        "{path} holds weights for this backbone {} times: {}; choose one with `weights_key`",
        places.len(), quoted(places)
    )]
    Several {
        /// The file.
        path: PathBuf,
        /// Their keys; an empty key is the top level of the file.
        places: Vec<String>,
    },
    /// There are no weights below the selected key.
    #[error(
        "{path} has no weights for this backbone below `{key}`{}",
        if places.is_empty() { String::new() } else { format!("; the file has weights in {}", quoted(places)) }
    )]
    NothingBelow {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Keys that have weights.
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
    /// The backbone has no embedded weights.
    #[error(
        "there are no embedded weights for `{backbone}`, only for {}; set a weight file",
        known.join(", ")
    )]
    NotEmbedded {
        /// The backbone.
        backbone: String,
        /// Backbones with embedded weights.
        known: Vec<&'static str>,
    },
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// A weight file: its tensors by name, each read on demand.
#[derive(Clone)]
pub struct Checkpoint {
    pub(crate) origin: PathBuf,
    /// The prefix that was stripped from every tensor's name, including its dot.
    pub(crate) wrapper: String,
    /// The key below which a backbone's weights are.
    pub(crate) weights_key: Option<String>,
    pub(crate) tensors: BTreeMap<String, Stored>,
    /// Entries that are not tensors, by full name.
    pub(crate) others: BTreeMap<String, String>,
    header: HeaderMetadata,
    container: Rc<RefCell<Container>>,
}

/// Prefixes that training scripts add to a model's own keys.
const WRAPPERS: [&str; 4] = ["state_dict.", "model.", "module.", "backbone."];

impl Checkpoint {
    /// Opens a `.safetensors` file or a PyTorch `.pth`, `.pt` or `.bin`.
    ///
    /// Prefixes such as Microsoft's `model.` are stripped if every tensor has them. No code of a file is
    /// executed: only the tensors of a pickle are read, and everything else is skipped.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] with the path if the file cannot be read.
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

    /// Reads a `.safetensors` file in memory; `name` replaces its path in messages.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Unreadable`] if the bytes are not such a file.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, CheckpointError> {
        Self::from_memory(name, Cow::Owned(bytes.to_vec()))
    }

    fn from_memory(name: &str, bytes: Cow<'static, [u8]>) -> Result<Self, CheckpointError> {
        let path = Path::new(name);
        let file = safetensors_from_bytes(bytes).map_err(|fault| wrong(path, fault))?;
        Ok(Self::new(path, file))
    }

    /// Returns the weights of a backbone that are embedded in the library.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NotEmbedded`] if the backbone has none.
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
            header: file.words,
            container: Rc::new(RefCell::new(file.container)),
        }
    }

    /// Selects the key below which a backbone's weights are, such as `state_dict_ema` or `teacher.backbone`,
    /// for files that hold several sets of weights.
    pub fn with_weights_key(mut self, key: Option<String>) -> Self {
        self.weights_key = key.map(|key| key.trim_end_matches('.').to_string());
        self
    }

    /// Returns the path of the file.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// Returns the names of the tensors, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns the names and shapes of the tensors, sorted.
    pub fn shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.layout.shape().to_vec()))
    }

    /// Returns the shape of a tensor, if there is one with this name.
    pub fn shape(&self, key: &str) -> Option<&[usize]> {
        self.tensors.get(key).map(|tensor| tensor.layout.shape())
    }

    /// Whether there is a tensor with this name.
    pub fn contains(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// Returns an entry of the header's metadata, in a format that has some.
    pub fn header(&self, key: &str) -> Option<&str> {
        self.header.get(key).map(String::as_str)
    }

    /// Compares all values with the checksums of the file.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`] with the missing or damaged record.
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
    /// [`CheckpointError`] if the tensor is absent or its bytes cannot be read.
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

/// Strips prefixes as long as every key has them; also returns the stripped prefix.
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

/// Returns the SHA-256 of a module's parameters, in the order of the module, as lowercase hexadecimal.
///
/// It is a hash of the values, not of a file: the same weights have the same hash in every format.
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
