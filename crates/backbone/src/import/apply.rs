//! Putting renamed tensors into a module.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::Imported;
use super::error::{ImportError, with_nearest};
use crate::bias_table::{resize_bias_table, window_side};
use crate::checkpoint::Checkpoint;

/// A bias table that was resized: its path, its rows in the file, and those in the backbone.
type Resized = (String, usize, usize);

/// Puts tensors into a module by their paths. `unused` are keys of the file that have no path.
///
/// Also returns the resized bias tables.
pub(super) fn apply<B: Backend, M: Module<B>>(
    module: M,
    checkpoint: &Checkpoint,
    tensors: BTreeMap<String, Imported>,
    mut unused: Vec<String>,
) -> Result<(M, Vec<Resized>), ImportError> {
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
    // First, since it explains the keys that do not fit, if there are any.
    if importer.windows.len() > 1 {
        return Err(ImportError::Windows {
            path: checkpoint.origin().to_path_buf(),
            windows: importer.windows,
        });
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
    Ok((module, importer.resized))
}

struct Importer<'a> {
    checkpoint: &'a Checkpoint,
    tensors: BTreeMap<String, Imported>,
    path: Vec<String>,
    containers: Vec<String>,
    expected: Vec<String>,
    missing: Vec<String>,
    wrong: Option<ImportError>,
    resized: Vec<Resized>,
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
        let positions = index.and_then(|index| match *index {
            [from, to] if from == to => Some(from),
            // torchvision's are flat.
            [pairs] => Some(pairs.isqrt()).filter(|side| side * side == pairs),
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
