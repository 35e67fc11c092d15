//! Adapters on disk: the trained parameters of a method, and the backbone they belong to.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use gradway_backbone::{
    AnyBackbone, BackboneConfig, BackboneSettings, HeaderMetadata, Precision, Resampling,
    TensorFile, TensorFileError, TrainBackbone, require_finite, write_tensors, write_whole,
};
use gradway_kernels::TrainBackend;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::encoder::{Applied, Encoder};
use crate::method::Misfit;
use crate::state_dict::{StateDict, StateDictError, collect_with, restore};
use crate::table::{MethodConfig, Tuned};

/// Version of the format.
const FORMAT: u32 = 2;
/// The version whose weights have no description in their header.
const WITHOUT_HEADER: u32 = 1;
const DESCRIPTION: &str = "adapter.json";
const WEIGHTS: &str = "adapter.safetensors";
/// The key of the description in the header of the weights.
const HEADER: &str = "adapter";

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
    /// The adapter was trained on a backbone with other settings.
    #[error(
        "{path}: trained with backbone.{key} = {trained_with}, but this backbone has {key} = {present}"
    )]
    OtherSetting {
        /// The adapter's folder.
        path: PathBuf,
        /// The key in `[backbone]`.
        key: &'static str,
        /// Its value in training.
        trained_with: String,
        /// The value of the present backbone.
        present: String,
    },
    /// The device does not support the precision of the backbone that the adapter was trained on.
    #[error("{path}: trained with backbone.precision = \"{}\", which {device} does not support", precision.name())]
    Precision {
        /// The adapter's folder.
        path: PathBuf,
        /// The precision.
        precision: Precision,
        /// The device.
        device: String,
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

/// The description of an adapter: the content of `adapter.json`, and an entry in the header of
/// `adapter.safetensors`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterInfo {
    /// Version of the format, 2. Version 1 has no settings and tasks, and no description in the header.
    pub format: u32,
    /// Name of the backbone.
    pub backbone: String,
    /// Hash of the backbone's weights, see [`hash_module`](gradway_backbone::hash_module).
    pub base: String,
    /// The backbone's settings; `None` in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<BackboneSettings>,
    /// The method with its fields.
    pub method: MethodConfig,
    /// Names of the tasks in the order of their features; empty for a single task, and in version 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
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
    pub fn new<B: TrainBackend, N: TrainBackbone<B>>(
        base: &Base<B, N>,
        method: MethodConfig,
        tuned: &Tuned<B, N>,
    ) -> Self {
        let settings = base.settings;
        Self::collected((&base.name, &base.hash), settings, method, tuned, &[])
    }

    /// As [`Self::new`], by the configuration of the backbone and the hash of its weights. `unread` are the
    /// parameters that were frozen because the head does not use them; the adapter includes them.
    pub fn of<B: TrainBackend, N: TrainBackbone<B>>(
        (backbone, hash): (&BackboneConfig, &str),
        method: MethodConfig,
        tuned: &Tuned<B, N>,
        unread: &[String],
    ) -> Self {
        let settings = backbone.settings();
        Self::collected((&backbone.name, hash), settings, method, tuned, unread)
    }

    fn collected<B: TrainBackend, N: TrainBackbone<B>>(
        (backbone, hash): (&str, &str),
        settings: BackboneSettings,
        method: MethodConfig,
        tuned: &Tuned<B, N>,
        unread: &[String],
    ) -> Self {
        Self {
            info: AdapterInfo {
                format: FORMAT,
                backbone: backbone.to_string(),
                base: hash.to_string(),
                settings: Some(settings),
                method,
                tasks: Vec::new(),
            },
            weights: collect_with(tuned, unread),
        }
    }

    /// The same with the names of its tasks, in the order of their features.
    pub fn with_tasks(mut self, tasks: Vec<String>) -> Self {
        self.info.tasks = tasks;
        self
    }

    /// Writes the folder. The description is written last, so that a folder with a description is complete. The
    /// header of the weights has it, too, so that a folder with files of two adapters is told.
    ///
    /// # Errors
    ///
    /// [`AdapterError::File`] if a file cannot be written; [`AdapterError::Weights`] if a value is not finite.
    pub fn save(&self, folder: &Path) -> Result<(), AdapterError> {
        fs::create_dir_all(folder)
            .map_err(|error| AdapterError::file(folder.to_path_buf(), error))?;
        let path = folder.join(WEIGHTS);
        require_finite(&path, &self.weights)?;
        let header = serde_json::to_string(&self.info);
        let header = header.map_err(|error| AdapterError::file(path.clone(), error))?;
        let header = HeaderMetadata::from([(HEADER.to_string(), header)]);
        write_tensors(&path, &self.weights, Some(header))
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
        if ![WITHOUT_HEADER, FORMAT].contains(&info.format) {
            let reason = format!(
                "format = {}; this version reads {WITHOUT_HEADER} and {FORMAT}",
                info.format
            );
            return Err(wrong(reason));
        }
        info.method.validate().map_err(wrong)?;
        let file = TensorFile::open(&folder.join(WEIGHTS))?;
        let weights = file
            .names()
            .map(|name| Ok((name.to_string(), file.floats(name)?)));
        let weights = weights.collect::<Result<_, TensorFileError>>()?;
        file.verify()?;
        match difference(&info, file.metadata().get(HEADER)) {
            None => Ok(Self { info, weights }),
            Some(difference) => Err(wrong(format!(
                "{difference} in the header of {WEIGHTS} beside it; the two files are not of one adapter, export it \
                 again"
            ))),
        }
    }
}

/// Returns what differs between a description and that in the header of the weights, up to "in the header".
fn difference(info: &AdapterInfo, header: Option<&String>) -> Option<String> {
    let is_without = info.format == WITHOUT_HEADER;
    let text = match header {
        None if is_without => return None,
        None => return Some("there is no description of an adapter".to_string()),
        Some(text) => text,
    };
    let Ok(found) = serde_json::from_str::<AdapterInfo>(text) else {
        return Some("there is another description".to_string());
    };
    if found == *info {
        return None;
    }
    let keys = |info: &AdapterInfo| match serde_json::to_value(info) {
        Ok(Value::Object(keys)) => keys,
        _ => Map::new(),
    };
    let (here, there) = (keys(info), keys(&found));
    let shown = |value: Option<&Value>| value.map_or("none".to_string(), Value::to_string);
    let mut names = here.keys().chain(there.keys());
    let key = names.find(|key| here.get(*key) != there.get(*key))?;
    Some(format!(
        "{key} is {}, but it is {}",
        shown(here.get(key)),
        shown(there.get(key))
    ))
}

/// A backbone that adapters are applied to.
///
/// All adapters share its tensors, so several adapters need one base in memory.
#[derive(Debug, Clone)]
pub struct Base<B: TrainBackend, N: TrainBackbone<B> = AnyBackbone<B>> {
    name: String,
    hash: String,
    settings: BackboneSettings,
    backbone: N::InnerModule,
    device: B::Device,
}

impl<B: TrainBackend, N: TrainBackbone<B>> Base<B, N> {
    /// Creates a base from a backbone and the configuration that it was created with.
    pub fn new(config: &BackboneConfig, backbone: N::InnerModule, device: &B::Device) -> Self {
        // Weights that have not been read yet are drawn here, once for all adapters.
        let backbone = backbone.to_device(device);
        Self {
            name: config.name.clone(),
            settings: config.settings(),
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
    pub fn bare(&self, method: &MethodConfig) -> Result<Applied<B, N>, Misfit> {
        self.applied(method, self.settings.precision)
    }

    fn applied(
        &self,
        method: &MethodConfig,
        precision: Precision,
    ) -> Result<Applied<B, N>, Misfit> {
        let (encoder, tuned) = Encoder::<B, N>::new(method, self.backbone.clone(), &self.device)?;
        Ok((encoder.rounded(precision), tuned))
    }

    /// Applies an adapter to the base, for inference or further training; `folder` names it in messages. A frozen
    /// backbone beside it has the precision that the adapter was trained with.
    ///
    /// # Errors
    ///
    /// [`AdapterError::OtherBase`] if it was trained on other weights, [`AdapterError::OtherSetting`] if on a
    /// backbone with other settings; [`AdapterError::Precision`] if the device does not support its precision;
    /// [`AdapterError::Misfit`] and [`AdapterError::StateDict`] if it does not fit.
    pub fn with(
        &self,
        adapter: SavedAdapter,
        folder: &Path,
    ) -> Result<Applied<B, N>, AdapterError> {
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
        let mut precision = self.settings.precision;
        if let Some(settings) = info.settings {
            if settings.pad_first != self.settings.pad_first {
                return Err(AdapterError::OtherSetting {
                    path: folder.to_path_buf(),
                    key: "pad_first",
                    trained_with: settings.pad_first.to_string(),
                    present: self.settings.pad_first.to_string(),
                });
            }
            if settings.positions != self.settings.positions {
                let name = |positions: Option<Resampling>| {
                    positions.map_or("that of the weight file", Resampling::name)
                };
                return Err(AdapterError::OtherSetting {
                    path: folder.to_path_buf(),
                    key: "positions",
                    trained_with: name(settings.positions).to_string(),
                    present: name(self.settings.positions).to_string(),
                });
            }
            precision = settings.precision;
        }
        if !B::supports_dtype(&self.device, precision.dtype()) {
            return Err(AdapterError::Precision {
                path: folder.to_path_buf(),
                precision,
                device: B::name(&self.device),
            });
        }
        let (encoder, tuned) = self.applied(&info.method, precision)?;
        let tuned = restore(tuned, weights).map_err(|source| AdapterError::StateDict {
            path: folder.to_path_buf(),
            source,
        })?;
        Ok((encoder, tuned))
    }
}

#[cfg(test)]
mod tests;
