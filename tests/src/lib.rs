//! What the tests that cross crates share: reading golden values, and comparing with them.
//!
//! `golden/README.md` says what the files hold and how close one has to come.

pub mod formula;

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::backend::{Autodiff, Flex};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use gradway_backbone::{
    AnyBackbone, BackboneConfig, Checkpoint, ParameterMapper, ParameterPath, ParameterVisitor,
    map_parameters, visit_parameters,
};
use gradway_data::formats::synthetic::SyntheticConfig;
use gradway_data::{DatasetConfig, DenseBatch, DenseTask, NetworkInput, Normalization, Split};
use safetensors::tensor::{Dtype, TensorView};

/// Where nothing is differentiated.
pub type Plain = Flex;
/// Where gradients are recorded.
pub type Tracked = Autodiff<Flex>;

/// Tensors by their names.
pub type Tensors = BTreeMap<String, TensorData>;

/// A file of golden values.
#[derive(Debug)]
pub struct Golden {
    tensors: Tensors,
}

impl Golden {
    /// Opens `golden/{name}.safetensors`.
    pub fn open(name: &str) -> Self {
        let file = Checkpoint::open(&golden_path(&format!("{name}.safetensors"))).unwrap();
        let read = |key: &str| (key.to_string(), file.read(key).unwrap());
        let tensors = file.keys().map(read).collect();
        Self { tensors }
    }

    /// A tensor's values.
    pub fn data(&self, key: &str) -> TensorData {
        let data = self.tensors.get(key);
        data.unwrap_or_else(|| panic!("no golden `{key}`")).clone()
    }

    /// A number of PyTorch's, whose shape is empty, as the one element that a loss of ours is.
    pub fn scalar(&self, key: &str) -> TensorData {
        let mut data = self.data(key);
        data.shape = [1].into();
        data
    }

    /// A tensor's values as numbers.
    pub fn values(&self, key: &str) -> Vec<f64> {
        self.data(key).iter::<f64>().collect()
    }

    /// A tensor's values as indices.
    pub fn indices(&self, key: &str) -> Vec<usize> {
        let values = self.values(key).into_iter();
        values.map(|value| value as usize).collect()
    }

    /// A tensor's rows as rectangles.
    pub fn bounds(&self, key: &str) -> Vec<[f32; 4]> {
        let values: Vec<f32> = self.data(key).iter::<f32>().collect();
        values.as_chunks::<4>().0.to_vec()
    }

    /// A tensor on the default device of a backend.
    pub fn tensor<B: Backend, const D: usize>(&self, key: &str) -> Tensor<B, D> {
        Tensor::from_data(self.data(key), &B::Device::default())
    }

    /// The tensors whose names start with `prefix`, without it.
    pub fn below(&self, prefix: &str) -> Tensors {
        let strip = |(key, data): (&String, &TensorData)| {
            Some((key.strip_prefix(prefix)?.to_string(), data.clone()))
        };
        self.tensors.iter().filter_map(strip).collect()
    }

    /// All tensors.
    pub fn into_tensors(self) -> Tensors {
        self.tensors
    }
}

/// A file of the golden folder.
pub fn golden_path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(file)
}

/// A checkpoint of these tensors, in memory; `name` stands for its path.
pub fn checkpoint(name: &str, tensors: &Tensors) -> Checkpoint {
    let views = tensors.iter().map(|(key, data)| {
        let shape = data.shape.to_vec();
        let view = TensorView::new(Dtype::F32, shape, data.as_bytes()).unwrap();
        (key, view)
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    Checkpoint::from_bytes(name, &bytes).unwrap()
}

/// `max|a - b| / max|b|`, 0 where all are equal, not a number where one of them is not.
pub fn relative_error(actual: &TensorData, expected: &TensorData) -> f64 {
    let difference = largest_difference(actual, expected);
    if difference == 0.0 {
        return 0.0;
    }
    difference / largest(expected.iter::<f64>())
}

/// `max|a - b|`, not a number where one of them is not.
pub fn largest_difference(actual: &TensorData, expected: &TensorData) -> f64 {
    assert_eq!(actual.shape, expected.shape);
    let pairs = actual.iter::<f64>().zip(expected.iter::<f64>());
    largest(pairs.map(|(a, b)| a - b))
}

/// `max|a|`. Unlike `f64::max` it keeps what is not a number.
pub fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values
        .map(f64::abs)
        .fold(0.0, |max, value| if value <= max { max } else { value })
}

/// Asserts a [relative error](relative_error).
pub fn assert_close(what: &str, actual: &TensorData, expected: &TensorData, tolerance: f64) {
    let error = relative_error(actual, expected);
    assert!(error <= tolerance, "{what} is off by {error:.1e}");
}

/// Asserts that there are exactly the expected gradients, each within a [relative
/// error](relative_error).
///
/// What is expected to be nothing but rounding, below 1e-6, is measured by the largest gradient.
pub fn assert_gradients(actual: &Tensors, expected: &Tensors, tolerance: f64) {
    let names = |tensors: &Tensors| tensors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(actual), names(expected));
    let size = |data: &TensorData| largest(data.iter::<f64>());
    let overall = largest(expected.values().map(size));
    for (name, expected) in expected {
        let scale = match size(expected) {
            nothing if nothing < 1e-6 => overall,
            scale => scale,
        };
        let error = largest_difference(&actual[name], expected) / scale;
        assert!(
            error <= tolerance,
            "the gradient of {name} is off by {error:.1e}"
        );
    }
}

/// Puts `value(path, shape)` into every float parameter and running statistic of a module.
pub fn fill<B: Backend, M: Module<B>>(
    module: M,
    value: impl FnMut(&str, &[usize]) -> TensorData,
) -> M {
    struct Fill<F> {
        value: F,
    }

    impl<B: Backend, F: FnMut(&str, &[usize]) -> TensorData> ParameterMapper<B> for Fill<F> {
        fn map<const D: usize>(
            &mut self,
            path: &ParameterPath,
            parameter: Param<Tensor<B, D>>,
        ) -> Param<Tensor<B, D>> {
            let data = (self.value)(&path.to_string(), &parameter.dims());
            parameter.map(|old| {
                assert_eq!(data.shape, old.shape(), "{path}");
                let new = Tensor::from_data(data, &old.device());
                new.set_require_grad(old.is_require_grad())
            })
        }
    }

    map_parameters(module, &mut Fill { value })
}

/// Returns the number of parameters of a module, without drawing any.
pub fn parameter_count<B: Backend, M: Module<B>>(module: &M) -> usize {
    struct Counter(usize);

    impl<B: Backend> ModuleVisitor<B> for Counter {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0 += param.lazy_shape().num_elements();
        }
    }

    let mut counter = Counter(0);
    module.visit(&mut counter);
    counter.0
}

/// Every float parameter and running statistic of a module by its path.
pub fn parameters<B: Backend, M: Module<B>>(module: &M) -> Tensors {
    struct Read(Tensors);

    impl<B: Backend> ParameterVisitor<B> for Read {
        fn visit<const D: usize>(&mut self, path: &ParameterPath, parameter: &Param<Tensor<B, D>>) {
            let data = parameter.val().into_data();
            self.0.insert(path.to_string(), data);
        }
    }

    let mut read = Read(Tensors::new());
    visit_parameters(module, &mut read);
    read.0
}

/// The gradients that parameters of a module have, by path.
pub fn gradients<B: AutodiffBackend, M: Module<B>>(
    module: &M,
    gradients: &B::Gradients,
) -> Tensors {
    struct Read<'a, B: AutodiffBackend> {
        gradients: &'a B::Gradients,
        tensors: Tensors,
    }

    impl<B: AutodiffBackend> ParameterVisitor<B> for Read<'_, B> {
        fn visit<const D: usize>(&mut self, path: &ParameterPath, parameter: &Param<Tensor<B, D>>) {
            if let Some(gradient) = parameter.val().grad(self.gradients) {
                self.tensors.insert(path.to_string(), gradient.into_data());
            }
        }
    }

    let mut read = Read::<B> {
        gradients,
        tensors: Tensors::new(),
    };
    visit_parameters(module, &mut read);
    read.tensors
}

/// A backbone of zeros, by its name: of the largest, drawing takes seconds.
pub fn blank(name: &str) -> AnyBackbone<Plain> {
    struct Zeros;

    impl ModuleMapper<Plain> for Zeros {
        fn map_float<const D: usize>(
            &mut self,
            param: Param<Tensor<Plain, D>>,
        ) -> Param<Tensor<Plain, D>> {
            Param::from_tensor(Tensor::zeros(param.lazy_shape(), &param.lazy_device()))
        }
    }

    let backbone = BackboneConfig::named(name).init(&Default::default());
    backbone.unwrap().map(&mut Zeros)
}

/// The first `count` synthetic scenes, `side` pixels wide and high, with their classes.
pub fn scenes(count: usize, side: u32) -> DenseBatch {
    let config = DatasetConfig::Synthetic(SyntheticConfig {
        width: side,
        height: side,
        train_samples: count,
        ..SyntheticConfig::default()
    });
    let dataset = config.open(Split::Train).expect("a dataset");
    let scene = |index| {
        let sample = dataset.get(index, &[DenseTask::SemanticSegmentation]);
        sample.expect("a scene").prepared([side as usize; 2])
    };
    let input = NetworkInput {
        normalization: Normalization::IMAGENET,
        stride: 1,
    };
    DenseBatch::padded((0..count).map(scene).collect(), &input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_no_number_is_never_close() {
        let number = TensorData::from([1.0f32, 2.0]);
        let none = TensorData::from([1.0f32, f32::NAN]);
        assert!(relative_error(&none, &number).is_nan());
        assert!(relative_error(&number, &none).is_nan());
        assert_eq!(
            relative_error(&number, &TensorData::from([1.0f32, 4.0])),
            0.5
        );
    }
}
