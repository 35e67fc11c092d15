//! Strict import: every key of a file is applied, skipped for a stated reason, or an error.

mod apply;
mod error;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;

use crate::bias_table::window_side;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::part::{NO_TENSOR, Part};
use crate::relatives::{FAMILIES, FOREIGN, Relative, foreign, shapes_of};
use crate::tensor_file::HeaderMetadata;

use apply::apply;
pub(crate) use apply::{in_linear, transpose};
pub use error::ImportError;

/// The meaning of a key of a public checkpoint for a backbone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renamed {
    /// The path of the parameter.
    To(String),
    /// The key is not needed, with the reason.
    Skip(&'static str),
    /// The key does not belong to this architecture.
    Unknown,
}

/// The result of an import.
#[derive(Debug, Clone, Default)]
pub struct ImportReport {
    /// Keys whose tensors were applied.
    pub applied: Vec<String>,
    /// Skipped keys, each with the reason; `optimizer.*` stands for everything below that key.
    pub skipped: Vec<(String, &'static str)>,
    /// Resized bias tables: path, rows in the file, rows in the backbone.
    pub resized: Vec<(String, usize, usize)>,
    /// The key of the weights in the file, such as `state_dict.backbone`; empty for its top level.
    pub place: String,
    /// Whose names the file has, such as `timm`, if that is known.
    pub origin: Option<&'static str>,
}

/// Relative position bias tables that were resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResizedTables {
    /// How many.
    pub tables: usize,
    /// Side of the window in the file.
    pub from: usize,
    /// Side of the window in the backbone.
    pub to: usize,
}

impl ImportReport {
    /// Returns how many bias tables were resized, and their windows; `None` if none were.
    pub fn resized_tables(&self) -> Option<ResizedTables> {
        let (_, from, to) = self.resized.first()?;
        Some(ResizedTables {
            tables: self.resized.len(),
            from: window_side(*from)?,
            to: window_side(*to)?,
        })
    }
}

/// A module that can be loaded from public checkpoints.
pub trait Import {
    /// Returns names of parameters, one of which is in every file of each known layout. The prefix of this name
    /// in a file's key is the prefix of all weights; other keys of the file are left out.
    fn anchors(&self) -> Vec<&'static str>;

    /// Adds parameters that only some files have.
    fn prepare(&mut self, _file: &Checkpoint) {}

    /// Renames a key of a checkpoint; `file` determines its layout.
    fn rename(&self, key: &str, file: &Checkpoint) -> Renamed;

    /// Returns whose names a file has, such as `timm`.
    fn origin(&self, _file: &Checkpoint) -> Option<&'static str> {
        None
    }

    /// Names the network of a file, with all that is beside it, if it is another than this one and known.
    fn relative(&self, _file: &Checkpoint) -> Option<Relative> {
        None
    }

    /// Reorders the values of renamed tensors if the publisher of the file uses another order.
    fn arrange(&self, _tensors: &mut BTreeMap<String, Imported>, _file: &Checkpoint) {}

    /// Returns what a file states beside the parameters, for [`prepare`](Self::prepare) to read: entries of a header.
    fn header(&self) -> HeaderMetadata {
        HeaderMetadata::new()
    }

    /// Converts the renamed tensors to the module's own parameters, for example by folding norms.
    fn finish(&mut self, _tensors: &mut BTreeMap<String, Imported>) {}

    /// Returns the name in an exported file of the parameter at a path, in which scale and shift of a norm are `weight`
    /// and `bias`.
    fn public_name(&self, path: String) -> String {
        path
    }
}

/// A tensor of a file that is being imported.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Key in the file.
    pub key: String,
    /// Values as 32-bit floats.
    pub data: TensorData,
}

/// Loads a checkpoint into a module.
///
/// The weights may be below any key of the file, such as `state_dict.backbone`. If there are several sets,
/// [`Checkpoint::with_weights_key`] selects one. Linear weights are transposed to Burn's `[inputs, outputs]`;
/// relative position bias tables of another window are resized.
///
/// # Errors
///
/// [`ImportError`] if the file cannot be read, it is of another network, a parameter or a key has no counterpart, a
/// shape is wrong, or a value is not finite.
pub fn import<B: Backend, M: Module<B> + Import>(
    mut module: M,
    checkpoint: &Checkpoint,
) -> Result<(M, ImportReport), ImportError> {
    let part = Part::find(checkpoint, &module.anchors())?;
    let (whole, checkpoint) = (checkpoint, &part.file);
    module.prepare(checkpoint);
    if let Some(relative) = relative(&module, whole, checkpoint) {
        let path = checkpoint.origin().to_path_buf();
        return Err(ImportError::Relative { path, relative });
    }
    let mut report = ImportReport {
        origin: module.origin(checkpoint),
        skipped: part.left_out,
        place: part.place,
        ..ImportReport::default()
    };
    let mut tensors = BTreeMap::new();
    let mut unused = Vec::new();
    for key in checkpoint.keys() {
        match module.rename(key, checkpoint) {
            Renamed::To(path) => {
                let data = checkpoint.read(key)?;
                require_finite(checkpoint, key, &data)?;
                let key = key.to_string();
                if let Some(Imported { key: first, .. }) = tensors.get(&path) {
                    return Err(ImportError::Twice {
                        path: checkpoint.origin().to_path_buf(),
                        first: first.clone(),
                        second: key,
                        parameter: path,
                    });
                }
                tensors.insert(path, Imported { key, data });
            }
            Renamed::Skip(reason) => report.skipped.push((key.to_string(), reason)),
            Renamed::Unknown => unused.push(key.to_string()),
        }
    }
    for (key, what) in part.others {
        if let Renamed::To(_) = module.rename(&key, checkpoint) {
            let path = checkpoint.origin().to_path_buf();
            return Err(CheckpointError::NoTensor { path, key, what }.into());
        }
        report.skipped.push((key, NO_TENSOR));
    }
    report.applied = tensors.values().map(|tensor| tensor.key.clone()).collect();
    module.arrange(&mut tensors, checkpoint);
    module.finish(&mut tensors);
    for Imported { key, data } in tensors.values() {
        require_finite(checkpoint, key, data)?;
    }

    let (module, resized) = apply(module, checkpoint, tensors, unused)?;
    report.resized = resized;
    Ok((module, report))
}

/// Names the network of a file if it cannot be that of the module. `whole` is the file with everything beside `part`.
fn relative<B: Backend, M: Module<B> + Import>(
    module: &M,
    whole: &Checkpoint,
    part: &Checkpoint,
) -> Option<Relative> {
    let parameters = shapes_of(module);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for key in part.keys() {
        match module.rename(key, part) {
            Renamed::To(path) if parameters.contains_key(&path) => with.push(key),
            Renamed::To(_) | Renamed::Unknown => without.push(key),
            Renamed::Skip(_) => {}
        }
    }
    foreign(FOREIGN, &without, &with)
        .or_else(|| module.relative(whole))
        .or_else(|| foreign(FAMILIES, &without, &with))
}

/// Rejects values that are not finite, which would make every score meaningless.
fn require_finite(
    checkpoint: &Checkpoint,
    key: &str,
    data: &TensorData,
) -> Result<(), ImportError> {
    /// Number of values that are checked together, so that the loop vectorises.
    const TOGETHER: usize = 1024;
    let values = data.as_slice::<f32>().unwrap_or_default();
    let is_finite = |values: &[f32]| {
        values
            .iter()
            .fold(true, |finite, value| finite & value.is_finite())
    };
    if values.chunks(TOGETHER).all(is_finite) {
        return Ok(());
    }
    let mut numbered = values.iter().copied().enumerate();
    match numbered.find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((position, value)) => Err(ImportError::NotFinite {
            path: checkpoint.origin().to_path_buf(),
            key: key.to_string(),
            value,
            position,
        }),
    }
}

/// Returns the candidate that is most similar to `name`, if any is similar.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(name, candidate),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity > 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Renames the scale and shift of a norm to Burn's gamma and beta.
pub(crate) fn norm_names(path: String) -> String {
    let in_norm = path
        .rsplit('.')
        .nth(1)
        .is_some_and(|module| module.starts_with("norm"));
    match path.rsplit_once('.') {
        Some((module, "weight")) if in_norm => format!("{module}.gamma"),
        Some((module, "bias")) if in_norm => format!("{module}.beta"),
        _ => path,
    }
}
