//! What a run changed, by name: collecting it from a module and putting it back.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Tensor, TensorData};

/// Saved parameters that do not fit a module.
#[derive(Debug, thiserror::Error)]
pub enum StateDictError {
    /// A parameter of the module is not among them.
    #[error("parameter `{0}` is missing")]
    Missing(String),
    /// They hold something that the module has not.
    #[error("parameter `{0}` is not part of this model")]
    Unused(String),
    /// A shape differs.
    #[error("parameter `{path}` has shape {found:?}; this model needs {expected:?}")]
    Shape {
        /// The parameter.
        path: String,
        /// Its shape as saved.
        found: Vec<usize>,
        /// Its shape in the model.
        expected: Vec<usize>,
    },
}

/// Values by path.
pub type StateDict = BTreeMap<String, TensorData>;

/// Whether a path is that of a batch norm's statistics, which a run changes without a gradient.
pub fn is_statistic(path: &str) -> bool {
    path.ends_with(".running_mean") || path.ends_with(".running_var")
}

/// Whether a run can change a parameter.
fn changes(path: &str, trained: bool) -> bool {
    trained || is_statistic(path)
}

/// The trained parameters and batch statistics of a module.
pub fn collect<B: AutodiffBackend, M: Module<B>>(module: &M) -> StateDict {
    collect_with(module, &[])
}

/// The same with other parameters by their paths, trained or not.
pub fn collect_with<B: AutodiffBackend, M: Module<B>>(module: &M, others: &[String]) -> StateDict {
    struct Collector<'a> {
        path: Vec<String>,
        others: &'a [String],
        values: StateDict,
    }

    impl<B: AutodiffBackend> ModuleVisitor<B> for Collector<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let path = self.path.join(".");
            if changes(&path, param.is_require_grad()) || self.others.contains(&path) {
                let data = param.val().inner().into_data().convert_dtype(DType::F32);
                self.values.insert(path, data);
            }
        }
    }

    let mut collector = Collector {
        path: Vec::new(),
        others,
        values: StateDict::new(),
    };
    module.visit(&mut collector);
    collector.values
}

/// Puts saved values back: the reverse of [`collect`], and as strict.
///
/// # Errors
///
/// [`StateDictError`] with the first parameter that does not fit.
pub fn restore<B: AutodiffBackend, M: Module<B>>(
    module: M,
    values: StateDict,
) -> Result<M, StateDictError> {
    put(module, values, Extent::Changed)
}

/// Puts values in whichever parameters they are of, trained or frozen; the others stay.
///
/// # Errors
///
/// [`StateDictError`] with the first value that does not fit.
pub fn adopt<B: AutodiffBackend, M: Module<B>>(
    module: M,
    values: StateDict,
) -> Result<M, StateDictError> {
    put(module, values, Extent::Given)
}

/// Which parameters are put back.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    /// All that a run changes, and no others.
    Changed,
    /// Those that there are values of.
    Given,
}

fn put<B: AutodiffBackend, M: Module<B>>(
    module: M,
    values: StateDict,
    extent: Extent,
) -> Result<M, StateDictError> {
    struct Restorer {
        path: Vec<String>,
        values: StateDict,
        extent: Extent,
        wrong: Option<StateDictError>,
    }

    impl<B: AutodiffBackend> ModuleMapper<B> for Restorer {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let path = self.path.join(".");
            let trained = param.is_require_grad();
            let is_put = match self.extent {
                Extent::Changed => changes(&path, trained),
                Extent::Given => self.values.contains_key(&path),
            };
            if !is_put {
                return param;
            }
            let expected = param.dims().to_vec();
            match self.values.remove(&path) {
                None => {
                    self.wrong.get_or_insert(StateDictError::Missing(path));
                    param
                }
                Some(data) if data.shape.to_vec() != expected => {
                    self.wrong.get_or_insert(StateDictError::Shape {
                        path,
                        found: data.shape.to_vec(),
                        expected,
                    });
                    param
                }
                Some(data) => param
                    .map(|old| Tensor::from_data(data, &old.device()).set_require_grad(trained)),
            }
        }
    }

    let mut restorer = Restorer {
        path: Vec::new(),
        values,
        extent,
        wrong: None,
    };
    let module = module.map(&mut restorer);
    match (restorer.wrong, restorer.values.pop_first()) {
        (Some(error), _) => Err(error),
        (None, Some((path, _))) => Err(StateDictError::Unused(path)),
        (None, None) => Ok(module),
    }
}
