//! Adapters on disk: the trained parameters of a method, and the backbone they belong to.

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

/// The error of saving, reading or applying an adapter.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// A file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The weights cannot be read, are damaged, or are not finite.
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
        /// Name of the present backbone.
        present_backbone: String,
        /// Hash of the present weights.
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
        /// The mismatch.
        source: StateDictError,
    },
}

impl AdapterError {
    fn file(path: PathBuf, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        Self::File { path, reason }
    }
}

/// The description of an adapter: the content of `adapter.json`.
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
    /// Its description.
    pub info: AdapterInfo,
    /// Trained parameters by path in the method's module.
    pub weights: StateDict,
}

impl SavedAdapter {
    /// Collects the parameters that a method has trained on a base.
    pub fn new<B: TrainBackend>(base: &Base<B>, method: MethodConfig, tuned: &Tuned<B>) -> Self {
        Self::of((&base.name, &base.hash), method, tuned, &[])
    }

    /// As [`Self::new`], by the name and the hash of the base. `unread` are the parameters that were frozen
    /// because the head does not use them; the adapter includes them.
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

    /// Writes the folder. The description is written last, so that a folder with a description is complete.
    ///
    /// # Errors
    ///
    /// [`AdapterError::File`] if a file cannot be written; [`AdapterError::Weights`] if a value is not finite.
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
    /// [`AdapterError`] with the file that is missing, damaged or has another format.
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

/// A backbone that adapters are applied to.
///
/// All adapters share its tensors, so several adapters need one base in memory.
#[derive(Debug, Clone)]
pub struct Base<B: TrainBackend> {
    name: String,
    hash: String,
    backbone: AnyBackbone<B::InnerBackend>,
    device: B::Device,
}

impl<B: TrainBackend> Base<B> {
    /// Creates a base from a backbone and its name in the table of backbones.
    pub fn new(name: &str, backbone: AnyBackbone<B::InnerBackend>, device: &B::Device) -> Self {
        // Weights that have not been read yet are drawn here, once for all adapters.
        let backbone = backbone.to_device(device);
        Self {
            name: name.to_string(),
            hash: gradway_backbone::hash_module(&backbone),
            backbone,
            device: device.clone(),
        }
    }

    /// Returns the hash of the weights.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Applies an untrained method to the base.
    ///
    /// # Errors
    ///
    /// [`Misfit`] if the method cannot tune this backbone.
    pub fn bare(&self, method: &MethodConfig) -> Result<(Encoder<B>, Tuned<B>), Misfit> {
        Encoder::new(method, self.backbone.clone(), &self.device)
    }

    /// Applies an adapter to the base, for inference or further training; `folder` names it in messages.
    ///
    /// # Errors
    ///
    /// [`AdapterError::OtherBase`] if it was trained on other weights; [`AdapterError::Misfit`] and
    /// [`AdapterError::StateDict`] if it does not fit.
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
