//! Runs an operator and its plain statement on the same random inputs.

use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The backend that was compiled in, the processor where there is no other.
#[cfg(feature = "cuda")]
pub type Plain = burn::backend::Cuda;
#[cfg(all(feature = "vulkan", not(feature = "cuda")))]
pub type Plain = burn::backend::Wgpu<f32, i32, u8>;
#[cfg(not(any(feature = "cuda", feature = "vulkan")))]
pub type Plain = burn::backend::Flex;

/// The backend under test: operators with their explicit backward.
pub type Tracked = Autodiff<Plain>;

/// Whether it is a graphics card's.
pub const IS_CARD: bool = cfg!(any(feature = "cuda", feature = "vulkan"));

/// Largest relative error of a value; see the crate's documentation.
pub const VALUE: f64 = if IS_CARD { 1e-3 } else { 5e-6 };
/// Largest relative error of a gradient.
pub const GRADIENT: f64 = if IS_CARD { 1e-2 } else { 2e-5 };

/// Values of the inputs of an operator.
pub struct Inputs {
    shapes: Vec<Vec<usize>>,
    values: Vec<Vec<f32>>,
}

impl Inputs {
    /// Uniform numbers in -2..2, an input per shape.
    pub fn random(seed: u64, shapes: &[&[usize]]) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let values = shapes
            .iter()
            .map(|shape| uniform(&mut generator, shape.iter().product()))
            .collect();
        Self {
            shapes: shapes.iter().map(|shape| shape.to_vec()).collect(),
            values,
        }
    }

    /// Puts another value at a place of an input.
    pub fn set(&mut self, index: usize, place: usize, value: f32) {
        self.values[index][place] = value;
    }

    /// Multiplies an input.
    pub fn scale(&mut self, index: usize, factor: f32) {
        for value in &mut self.values[index] {
            *value *= factor;
        }
    }

    /// An input in its shape, without a graph.
    pub fn tensor<B: Backend, const D: usize>(&self, index: usize) -> Tensor<B, D> {
        let data = TensorData::new(self.values[index].clone(), self.shapes[index].clone());
        Tensor::from_data(data, &Default::default())
    }
}

fn uniform(generator: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count)
        .map(|_| (generator.next_u32() >> 8) as f32 / (1u32 << 22) as f32 - 2.0)
        .collect()
}

/// The inputs as leaves of one graph.
pub struct Leaves<'a> {
    shapes: &'a [Vec<usize>],
    tensors: Vec<Tensor<Tracked, 1>>,
}

impl Leaves<'_> {
    /// An input in its shape.
    pub fn get<const D: usize>(&self, index: usize) -> Tensor<Tracked, D> {
        let shape: [usize; D] = self.shapes[index].clone().try_into().unwrap();
        self.tensors[index].clone().reshape(shape)
    }
}

/// What an operator makes of its inputs.
pub struct Evaluation {
    pub value: Vec<f32>,
    /// Of every input; none for an input without one.
    pub gradients: Vec<Option<Vec<f32>>>,
}

/// Evaluates an operator and back-propagates a random gradient through it.
pub fn evaluate<const D: usize>(
    inputs: &Inputs,
    is_tracked: impl Fn(usize) -> bool,
    operator: impl Fn(&Leaves) -> Tensor<Tracked, D>,
) -> Evaluation {
    let device = Default::default();
    let leaf = |(index, values): (usize, &Vec<f32>)| {
        let leaf = Tensor::from_data(TensorData::from(values.as_slice()), &device);
        leaf.set_require_grad(is_tracked(index))
    };
    let leaves = Leaves {
        shapes: &inputs.shapes,
        tensors: inputs.values.iter().enumerate().map(leaf).collect(),
    };
    let output = operator(&leaves);

    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let weights = uniform(&mut generator, output.shape().num_elements());
    let weights = Tensor::<Tracked, 1>::from_data(TensorData::from(weights.as_slice()), &device);
    let loss = (output.clone() * weights.reshape(output.shape())).sum();
    let gradients = loss.backward();
    let read = |data: TensorData| data.to_vec().unwrap();
    Evaluation {
        value: read(output.into_data()),
        gradients: leaves
            .tensors
            .iter()
            .map(|leaf| leaf.grad(&gradients).map(|grad| read(grad.into_data())))
            .collect(),
    }
}

/// Asserts that an operator has the value and every gradient of its plain statement.
pub fn assert_parity<const D: usize>(
    inputs: &Inputs,
    operator: impl Fn(&Leaves) -> Tensor<Tracked, D>,
    statement: impl Fn(&Leaves) -> Tensor<Tracked, D>,
) {
    let actual = evaluate(inputs, |_| true, operator);
    let expected = evaluate(inputs, |_| true, statement);
    assert_close("the value", &actual.value, &expected.value, VALUE);
    let gradients = actual.gradients.iter().zip(&expected.gradients);
    for (index, (actual, expected)) in gradients.enumerate() {
        let (Some(actual), Some(expected)) = (actual, expected) else {
            panic!("input {index} has no gradient");
        };
        let what = format!("the gradient of input {index}");
        assert_close(&what, actual, expected, GRADIENT);
    }
}

/// Tracks one input at a time: it alone has a gradient, the one it has among others.
pub fn assert_only_tracked_inputs_have_gradients<const D: usize>(
    inputs: &Inputs,
    operator: impl Fn(&Leaves) -> Tensor<Tracked, D>,
) {
    let together = evaluate(inputs, |_| true, &operator).gradients;
    for tracked in 0..together.len() {
        let alone = evaluate(inputs, |index| index == tracked, &operator).gradients;
        for (index, gradient) in alone.iter().enumerate() {
            assert_eq!(gradient.is_some(), index == tracked, "input {index}");
        }
        assert_eq!(alone[tracked], together[tracked], "input {tracked}");
    }
}

/// Asserts a relative error: `max|a - b| / max|b|`, on a graphics card `||a - b|| / ||b||`.
pub fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let size = if IS_CARD { norm } else { largest };
    let differences = actual.iter().zip(expected).map(|(a, b)| f64::from(a - b));
    let difference = size(&mut differences.map(f64::abs));
    let scale = size(&mut expected.iter().map(|b| f64::from(*b).abs()));
    assert!(scale > 0.0, "{what}: nothing but zeros is expected");
    let error = difference / scale;
    assert!(error <= tolerance, "{what} is off by {error:.1e}");
}

fn largest(values: &mut dyn Iterator<Item = f64>) -> f64 {
    // Not `f64::max`, which would drop what is not a number.
    values.fold(0.0, |a: f64, b| if b <= a { a } else { b })
}

fn norm(values: &mut dyn Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}
