//! State dicts: collecting the values that a run changed from a module, and restoring them.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Tensor, TensorData};
use gradway_backbone::{
    Kind, ParameterMapper, ParameterPath, ParameterVisitor, map_parameters, visit_parameters,
};

/// The error that saved parameters do not fit a module.
#[derive(Debug, thiserror::Error)]
pub enum StateDictError {
    /// A parameter of the module is missing.
    #[error("parameter `{0}` is missing")]
    Missing(String),
    /// A saved value has no parameter in the module.
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

/// Values of parameters by path.
pub type StateDict = BTreeMap<String, TensorData>;

/// Whether training can change a parameter.
fn changes(path: &ParameterPath, trained: bool) -> bool {
    trained || path.role().kind == Kind::Statistic
}

/// Collects the trained parameters and batch norm statistics of a module.
pub fn collect<B: AutodiffBackend, M: Module<B>>(module: &M) -> StateDict {
    collect_with(module, &[])
}

/// As [`collect`], with further parameters by path, trained or not.
pub fn collect_with<B: AutodiffBackend, M: Module<B>>(module: &M, others: &[String]) -> StateDict {
    struct Collector<'a> {
        others: &'a [String],
        values: StateDict,
    }

    impl<B: AutodiffBackend> ParameterVisitor<B> for Collector<'_> {
        fn visit<const D: usize>(&mut self, path: &ParameterPath, parameter: &Param<Tensor<B, D>>) {
            let name = path.to_string();
            if changes(path, parameter.is_require_grad()) || self.others.contains(&name) {
                let data = parameter.val().inner().into_data();
                self.values.insert(name, data.convert_dtype(DType::F32));
            }
        }
    }

    let mut collector = Collector {
        others,
        values: StateDict::new(),
    };
    visit_parameters(module, &mut collector);
    collector.values
}

/// Restores saved values: the reverse of [`collect`]. Every parameter must have a value and every value a parameter.
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

/// Loads values into their parameters, trained or frozen; other parameters are not changed.
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

/// The parameters to restore.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    /// Exactly those that training changes.
    Changed,
    /// Those that have a value.
    Given,
}

fn put<B: AutodiffBackend, M: Module<B>>(
    module: M,
    values: StateDict,
    extent: Extent,
) -> Result<M, StateDictError> {
    struct Restorer {
        values: StateDict,
        extent: Extent,
        wrong: Option<StateDictError>,
    }

    impl<B: AutodiffBackend> ParameterMapper<B> for Restorer {
        fn map<const D: usize>(
            &mut self,
            path: &ParameterPath,
            parameter: Param<Tensor<B, D>>,
        ) -> Param<Tensor<B, D>> {
            let (trained, name) = (parameter.is_require_grad(), path.to_string());
            let is_put = match self.extent {
                Extent::Changed => changes(path, trained),
                Extent::Given => self.values.contains_key(&name),
            };
            if !is_put {
                return parameter;
            }
            let expected = parameter.dims().to_vec();
            match self.values.remove(&name) {
                None => {
                    self.wrong.get_or_insert(StateDictError::Missing(name));
                    parameter
                }
                Some(data) if data.shape.to_vec() != expected => {
                    self.wrong.get_or_insert(StateDictError::Shape {
                        path: name,
                        found: data.shape.to_vec(),
                        expected,
                    });
                    parameter
                }
                Some(data) => parameter
                    .map(|old| Tensor::from_data(data, &old.device()).set_require_grad(trained)),
            }
        }
    }

    let mut restorer = Restorer {
        values,
        extent,
        wrong: None,
    };
    let module = map_parameters(module, &mut restorer);
    match (restorer.wrong, restorer.values.pop_first()) {
        (Some(error), _) => Err(error),
        (None, Some((path, _))) => Err(StateDictError::Unused(path)),
        (None, None) => Ok(module),
    }
}
