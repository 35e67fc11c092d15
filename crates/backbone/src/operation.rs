//! The parameters of the operation at an access point, for methods that merge a change of its output into them.

use burn::module::Param;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The operation whose output is at an access point.
#[derive(Debug)]
pub enum Operation<'a, B: Backend> {
    /// A layer norm.
    Norm(&'a mut LayerNorm<B>),
    /// A linear layer.
    Linear(&'a mut Linear<B>),
    /// A convolution.
    Convolution {
        /// `[outputs, inputs / groups, kernel, kernel]`
        weight: &'a mut Param<Tensor<B, 4>>,
        /// `[outputs]`, if it has one.
        bias: &'a mut Option<Param<Tensor<B, 1>>>,
    },
}

impl<B: Backend> Operation<'_, B> {
    /// Returns the number of channels of its output, without initialising weights.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Norm(norm) => norm.gamma.lazy_shape()[0],
            Self::Linear(layer) => layer.weight.lazy_shape()[1],
            Self::Convolution { weight, .. } => weight.lazy_shape()[0],
        }
    }
}
