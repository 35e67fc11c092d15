//! Strict import: every key of a file is applied, skipped for a stated reason, or an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use crate::bias_table::{resize_bias_table, window_side};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::part::{NO_TENSOR, Part};
use crate::tensor_file::HeaderMetadata;

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

/// The error of an import. The module has not changed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Parameters without a tensor in the file, or tensors without a parameter.
    #[error("{path} does not fit this backbone: {}", describe(missing, unused))]
    Keys {
        /// The file.
        path: PathBuf,
        /// Parameters without a tensor in the file, each with the nearest key of the file.
        missing: Vec<(String, Option<String>)>,
        /// Keys of the file without a parameter, each with the nearest parameter.
        unused: Vec<(String, Option<String>)>,
    },
    /// Weights that are not finite.
    #[error("{path}: tensor `{key}` holds {value} at position {position}; weights must be finite")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor's key.
        key: String,
        /// The first value that is not finite.
        value: f32,
        /// Its index in the flattened tensor.
        position: usize,
    },
    /// A relative position bias table of a window that is not square.
    #[error(
        "{path}: tensor `{key}` has {rows} rows, but a square window of side w has (2 w - 1)^2: the window of the \
         table is not square, and the file does not state its sides; create the model with square images"
    )]
    Window {
        /// The file.
        path: PathBuf,
        /// The tensor's key.
        key: String,
        /// Its number of rows.
        rows: usize,
    },
    /// Relative position bias tables of several windows.
    #[error(
        "{path}: its relative position bias tables are of windows of {}; all blocks of this backbone have the same \
         window: the file is of another architecture, or was created for images smaller than a window",
        sides(windows)
    )]
    Windows {
        /// The file.
        path: PathBuf,
        /// The sides of the windows.
        windows: BTreeSet<usize>,
    },
    /// Two tensors for one parameter.
    #[error(
        "{path}: `{first}` and `{second}` are both for the parameter `{parameter}`; remove one of them"
    )]
    Twice {
        /// The file.
        path: PathBuf,
        /// The key of one of them.
        first: String,
        /// The key of the other.
        second: String,
        /// The parameter.
        parameter: String,
    },
    /// A tensor of the wrong shape.
    #[error("{path}: tensor `{key}` has shape {found:?}, the backbone needs {expected:?}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's key.
        key: String,
        /// Its shape.
        found: Vec<usize>,
        /// The parameter's shape.
        expected: Vec<usize>,
    },
}

/// Maximum number of keys of each kind in a message.
const LISTED: usize = 5;

fn describe(missing: &[(String, Option<String>)], unused: &[(String, Option<String>)]) -> String {
    let list = |what: &str, keys: &[(String, Option<String>)]| {
        let shown = keys
            .iter()
            .take(LISTED)
            .map(|(key, nearest)| match nearest {
                Some(nearest) => format!("`{key}` (nearest: `{nearest}`)"),
                None => format!("`{key}`"),
            });
        let rest = match keys.len().saturating_sub(LISTED) {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        let shown: Vec<_> = shown.collect();
        format!("{} {what}: {}{rest}", keys.len(), shown.join(", "))
    };
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(list("parameters missing from the file", missing));
    }
    if !unused.is_empty() {
        parts.push(list("unknown keys", unused));
    }
    parts.join("; ")
}

/// `7x7 and 14x14`
fn sides(windows: &BTreeSet<usize>) -> String {
    let sides: Vec<String> = windows
        .iter()
        .map(|side| format!("{side}x{side}"))
        .collect();
    sides.join(" and ")
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

    /// Reorders the values of renamed tensors if the publisher of the file uses another order.
    fn arrange(&self, _tensors: &mut BTreeMap<String, Imported>, _file: &Checkpoint) {}

    /// Returns what a file states beside the parameters, for [`prepare`](Self::prepare) to read: entries of a header.
    fn words(&self) -> HeaderMetadata {
        HeaderMetadata::new()
    }

    /// Converts the renamed tensors to the module's own parameters, for example by folding norms.
    fn finish(&mut self, _tensors: &mut BTreeMap<String, Imported>) {}
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
/// [`ImportError`] if the file cannot be read, a parameter or a key has no counterpart, a shape is wrong, or a
/// value is not finite.
pub fn import<B: Backend, M: Module<B> + Import>(
    mut module: M,
    checkpoint: &Checkpoint,
) -> Result<(M, ImportReport), ImportError> {
    let part = Part::find(checkpoint, &module.anchors())?;
    let checkpoint = &part.file;
    module.prepare(checkpoint);
    let mut report = ImportReport {
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

    let mut importer = Importer {
        checkpoint,
        tensors,
        path: Vec::new(),
        containers: Vec::new(),
        expected: Vec::new(),
        missing: Vec::new(),
        wrong: None,
        resized: Vec::new(),
        windows: BTreeSet::new(),
    };
    let module = module.map(&mut importer);

    if let Some(error) = importer.wrong {
        return Err(error);
    }
    unused.extend(importer.tensors.into_values().map(|tensor| tensor.key));
    if !importer.missing.is_empty() || !unused.is_empty() {
        // A name that fits nothing is most likely meant for a parameter that nothing fills.
        let known: Vec<String> = checkpoint.keys().map(String::from).collect();
        let keys = if unused.is_empty() { &known } else { &unused };
        let parameters = if importer.missing.is_empty() {
            &importer.expected
        } else {
            &importer.missing
        };
        return Err(ImportError::Keys {
            path: checkpoint.origin().to_path_buf(),
            missing: with_nearest(&importer.missing, keys),
            unused: with_nearest(&unused, parameters),
        });
    }
    if importer.windows.len() > 1 {
        return Err(ImportError::Windows {
            path: checkpoint.origin().to_path_buf(),
            windows: importer.windows,
        });
    }
    report.resized = importer.resized;
    Ok((module, report))
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

/// Returns each name with the most similar candidate, if any is similar.
fn with_nearest(names: &[String], candidates: &[String]) -> Vec<(String, Option<String>)> {
    let with = |(index, name): (usize, &String)| {
        // Only the names that a message lists are worth the comparison with every candidate.
        let nearest = (index < LISTED)
            .then(|| nearest(name, candidates.iter().map(String::as_str)))
            .flatten();
        (name.clone(), nearest.map(String::from))
    };
    names.iter().enumerate().map(with).collect()
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

struct Importer<'a> {
    checkpoint: &'a Checkpoint,
    tensors: BTreeMap<String, Imported>,
    path: Vec<String>,
    containers: Vec<String>,
    expected: Vec<String>,
    missing: Vec<String>,
    wrong: Option<ImportError>,
    resized: Vec<(String, usize, usize)>,
    /// Sides of the windows of the file's bias tables.
    windows: BTreeSet<usize>,
}

/// The suffix of the keys of relative position bias tables.
const TABLE: &str = "relative_position_bias_table";
/// The suffix of the keys of the buffers with the table row of every pair of positions.
const INDEX: &str = "relative_position_index";

impl Importer<'_> {
    /// Whether a bias table belongs to a square window, as far as the file shows. Another window can have as
    /// many rows (9 x 25 is 15 x 15).
    fn is_of_a_square_window(&self, key: &str, rows: usize) -> bool {
        let index = key
            .strip_suffix(TABLE)
            .and_then(|block| self.checkpoint.shape(&format!("{block}{INDEX}")));
        let positions = index.and_then(|index| match index {
            &[from, to] if from == to => Some(from),
            _ => None,
        });
        window_side(rows)
            .is_some_and(|side| positions.is_none_or(|positions| positions == side * side))
    }

    /// Takes the tensor for a parameter of this shape.
    fn take(&mut self, expected: &[usize]) -> Option<TensorData> {
        let path = self.path.join(".");
        self.expected.push(path.clone());
        let Some(Imported { key, mut data }) = self.tensors.remove(&path) else {
            self.missing.push(path);
            return None;
        };
        if in_linear(&self.containers) && data.shape.len() == 2 {
            data = transpose(data);
        }
        if path.ends_with(TABLE) && data.shape.len() == 2 && data.shape[1] == expected[1] {
            let rows = data.shape[0];
            if !self.is_of_a_square_window(&key, rows) {
                let path = self.checkpoint.origin().to_path_buf();
                self.wrong
                    .get_or_insert(ImportError::Window { path, key, rows });
                return None;
            }
            self.windows.extend(window_side(rows));
            if rows != expected[0] {
                self.resized.push((path, rows, expected[0]));
                data = resize_bias_table(data, expected[0]);
            }
        }
        if data.shape.as_slice() != expected {
            let found = data.shape.to_vec();
            let path = self.checkpoint.origin().to_path_buf();
            self.wrong.get_or_insert(ImportError::Shape {
                path,
                key,
                found,
                expected: expected.to_vec(),
            });
            return None;
        }
        Some(data)
    }
}

impl<B: Backend> ModuleMapper<B> for Importer<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.to_string());
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        // Neither asks for the values: a parameter that is about to be replaced is never drawn.
        let (shape, device) = (param.lazy_shape(), param.lazy_device());
        match self.take(&shape) {
            Some(data) => Param::initialized(param.id, Tensor::from_data(data, &device)),
            None => param,
        }
    }
}

/// Whether the containers of a parameter, outermost first, end in a Burn linear.
pub(crate) fn in_linear(containers: &[String]) -> bool {
    containers
        .iter()
        .rev()
        .take(2)
        .any(|name| name == "Struct:Linear")
}

/// Transposes `[outputs, inputs]` to `[inputs, outputs]`, or back.
pub(crate) fn transpose(data: TensorData) -> TensorData {
    /// Side of a tile, small enough that its lines in both matrices stay in the cache.
    const SIDE: usize = 16;
    let [rows, columns] = [data.shape[0], data.shape[1]];
    let data = data.convert::<f32>();
    let Ok(values) = data.as_slice::<f32>() else {
        unreachable!("the values were converted");
    };
    let mut transposed = vec![0.0; values.len()];
    for top in (0..rows).step_by(SIDE) {
        for left in (0..columns).step_by(SIDE) {
            for row in top..(top + SIDE).min(rows) {
                for column in left..(left + SIDE).min(columns) {
                    transposed[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    TensorData::new(transposed, [columns, rows])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_matrix_of_odd_sides() {
        let (rows, columns) = (37, 19);
        let values: Vec<f32> = (0..rows * columns).map(|index| index as f32).collect();
        let transposed = transpose(TensorData::new(values.clone(), [rows, columns]));
        assert_eq!(transposed.shape.as_slice(), [columns, rows]);
        for (index, value) in transposed.iter::<f32>().enumerate() {
            assert_eq!(value, values[index % rows * columns + index / rows]);
        }
        let back = transpose(transposed);
        assert_eq!(back.to_vec::<f32>().unwrap(), values);
    }
}
