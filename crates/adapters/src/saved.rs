//! Adapters on disk: what a method changed of a backbone, and what it must be put on.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use gradway_backbone::{
    AnyBackbone, TensorFile, TensorFileError, require_finite, write_tensors, write_whole,
};
use gradway_kernels::TrainBackend;
use serde::{Deserialize, Serialize};

use crate::encoder::Encoder;
use crate::method::Misfit;
use crate::state_dict::{StateDict, StateDictError, collect_with, restore};
use crate::table::{MethodConfig, Tuned};

/// Version of the format.
const FORMAT: u32 = 1;
const DESCRIPTION: &str = "adapter.json";
const WEIGHTS: &str = "adapter.safetensors";

/// Why an adapter was not saved, read or put on.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// A file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The weights cannot be read, are damaged, or are no finite numbers.
    #[error(transparent)]
    Weights(#[from] TensorFileError),
    /// The adapter was trained on other weights.
    #[error(
        "{path}: made for `{backbone}` with base weights {trained_on}, but this base is `{present_backbone}` with {present}"
    )]
    OtherBase {
        /// The adapter's folder.
        path: PathBuf,
        /// Name of the backbone it was trained on.
        backbone: String,
        /// Hash of the weights it was trained on.
        trained_on: String,
        /// Name of the backbone that is here.
        present_backbone: String,
        /// Hash of the weights that are here.
        present: String,
    },
    /// A method that cannot tune the backbone.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// Saved parameters do not fit the method.
    #[error("{path} does not fit this model")]
    StateDict {
        /// The adapter's folder.
        path: PathBuf,
        /// What does not fit.
        source: StateDictError,
    },
}

impl AdapterError {
    fn file(path: PathBuf, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        Self::File { path, reason }
    }
}

/// What an adapter is: the content of `adapter.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterInfo {
    /// Version of the format, 1.
    pub format: u32,
    /// Name of the backbone.
    pub backbone: String,
    /// Hash of the backbone's weights, see [`hash_module`](gradway_backbone::hash_module).
    pub base: String,
    /// The method with its fields.
    pub method: MethodConfig,
}

/// An adapter as a folder of two files: `adapter.json` and `adapter.safetensors`.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedAdapter {
    /// What it is.
    pub info: AdapterInfo,
    /// Trained parameters by their path in the method's module.
    pub weights: StateDict,
}

impl SavedAdapter {
    /// What a method has trained on a base.
    pub fn new<B: TrainBackend>(base: &Base<B>, method: MethodConfig, tuned: &Tuned<B>) -> Self {
        Self::of((&base.name, &base.hash), method, tuned, &[])
    }

    /// The same by the name and the hash of the base; `unread` are the parameters that were frozen for a head that
    /// has no use for them, which an adapter has all the same.
    pub fn of<B: TrainBackend>(
        (backbone, hash): (&str, &str),
        method: MethodConfig,
        tuned: &Tuned<B>,
        unread: &[String],
    ) -> Self {
        Self {
            info: AdapterInfo {
                format: FORMAT,
                backbone: backbone.to_string(),
                base: hash.to_string(),
                method,
            },
            weights: collect_with(tuned, unread),
        }
    }

    /// Writes the folder; the description comes last, so that one that is there is whole.
    ///
    /// # Errors
    ///
    /// [`AdapterError::File`]; [`AdapterError::Weights`] where a value is no finite number.
    pub fn save(&self, folder: &Path) -> Result<(), AdapterError> {
        fs::create_dir_all(folder)
            .map_err(|error| AdapterError::file(folder.to_path_buf(), error))?;
        let path = folder.join(WEIGHTS);
        require_finite(&path, &self.weights)?;
        write_tensors(&path, &self.weights, None)
            .map_err(|error| AdapterError::file(path, error))?;
        let path = folder.join(DESCRIPTION);
        let wrong = |reason: String| AdapterError::file(path.clone(), reason);
        let text = serde_json::to_string_pretty(&self.info).map_err(|e| wrong(e.to_string()))?;
        write_whole(&path, text.as_bytes()).map_err(|e| wrong(e.to_string()))
    }

    /// Reads a folder.
    ///
    /// # Errors
    ///
    /// [`AdapterError`] with the file that is missing, damaged or of another format.
    pub fn load(folder: &Path) -> Result<Self, AdapterError> {
        let path = folder.join(DESCRIPTION);
        let wrong = |reason: String| AdapterError::file(path.clone(), reason);
        let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let info: AdapterInfo =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if info.format != FORMAT {
            let reason = format!("format = {}; this version reads {FORMAT}", info.format);
            return Err(wrong(reason));
        }
        info.method.validate().map_err(wrong)?;
        let file = TensorFile::open(&folder.join(WEIGHTS))?;
        let weights = file
            .names()
            .map(|name| Ok((name.to_string(), file.floats(name)?)));
        let weights = weights.collect::<Result<_, TensorFileError>>()?;
        file.verify()?;
        Ok(Self { info, weights })
    }
}

/// A backbone that adapters are put on.
///
/// Whatever is put on it shares its tensors, so that several adapters are in memory beside one base.
#[derive(Debug, Clone)]
pub struct Base<B: TrainBackend> {
    name: String,
    hash: String,
    backbone: AnyBackbone<B::InnerBackend>,
    device: B::Device,
}

impl<B: TrainBackend> Base<B> {
    /// A backbone with its weights, under its name in the table of backbones.
    pub fn new(name: &str, backbone: AnyBackbone<B::InnerBackend>, device: &B::Device) -> Self {
        // Weights that nobody has read are drawn here, once for all adapters.
        let backbone = backbone.to_device(device);
        Self {
            name: name.to_string(),
            hash: gradway_backbone::hash_module(&backbone),
            backbone,
            device: device.clone(),
        }
    }

    /// Hash of the weights.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The base under a method that has learnt nothing yet.
    ///
    /// # Errors
    ///
    /// [`Misfit`] where the method cannot tune this backbone.
    pub fn bare(&self, method: &MethodConfig) -> Result<(Encoder<B>, Tuned<B>), Misfit> {
        Encoder::new(method, self.backbone.clone(), &self.device)
    }

    /// The base under an adapter, ready to be trained further; `folder` names it in messages.
    ///
    /// # Errors
    ///
    /// [`AdapterError::OtherBase`] where it was trained on other weights; [`AdapterError::Misfit`] and
    /// [`AdapterError::StateDict`] where it does not fit.
    pub fn with(
        &self,
        adapter: SavedAdapter,
        folder: &Path,
    ) -> Result<(Encoder<B>, Tuned<B>), AdapterError> {
        let SavedAdapter { info, weights } = adapter;
        if info.base != self.hash || info.backbone != self.name {
            return Err(AdapterError::OtherBase {
                path: folder.to_path_buf(),
                backbone: info.backbone,
                trained_on: info.base,
                present_backbone: self.name.clone(),
                present: self.hash.clone(),
            });
        }
        let (encoder, tuned) = self.bare(&info.method)?;
        let tuned = restore(tuned, weights).map_err(|source| AdapterError::StateDict {
            path: folder.to_path_buf(),
            source,
        })?;
        Ok((encoder, tuned))
    }
}
