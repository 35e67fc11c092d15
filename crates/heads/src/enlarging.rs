//! Transposed convolutions whose kernel is as long as their stride.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, project_channels};

/// A transposed convolution with a kernel as long as its stride, the factor: every position becomes a square of
/// positions, each with its own weights.
#[derive(Module, Debug)]
pub struct Enlarging<B: Backend> {
    /// `[inputs, factor * factor * outputs]`, the positions of a square row by row.
    pub weight: Param<Tensor<B, 2>>,
    /// `[outputs]`
    pub bias: Param<Tensor<B, 1>>,
    factor: usize,
}

impl<B: Backend> Enlarging<B> {
    /// Creates a module with weights of this distribution and zero bias.
    pub fn new(
        [inputs, outputs]: [usize; 2],
        factor: usize,
        weights: &Initializer,
        device: &B::Device,
    ) -> Self {
        Self {
            weight: weights.init([inputs, factor * factor * outputs], device),
            bias: Initializer::Zeros.init([outputs], device),
            factor,
        }
    }

    /// Creates a module with the weights that PyTorch draws for a transposed convolution, uniform up to
    /// `1 / sqrt(factor^2 outputs)`, and zero bias.
    pub fn uniform([inputs, outputs]: [usize; 2], factor: usize, device: &B::Device) -> Self {
        let bound = (1.0 / (factor * factor * outputs) as f64).sqrt();
        let weights = Initializer::Uniform {
            min: -bound,
            max: bound,
        };
        Self::new([inputs, outputs], factor, &weights, device)
    }
}

impl<B: KernelBackend> Enlarging<B> {
    /// Returns the positions of the squares as separate entries: whatever follows position by position does not
    /// need them in their places.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, inputs, height, width]`
    /// - output: `[batch * factor * factor, outputs, height, width]`, the positions one after the other
    pub fn apart(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let [batch, _, height, width] = x.dims();
        let [outputs] = self.bias.dims();
        let positions = self.factor * self.factor;
        // Not `repeat`, whose gradient is of neighbours and not of copies in this Burn.
        let bias = self.bias.val().unsqueeze::<2>();
        let bias = bias
            .expand([positions, outputs])
            .reshape([positions * outputs]);
        let x = project_channels(x, self.weight.val(), Some(bias));
        x.reshape([batch * positions, outputs, height, width])
    }

    /// # Shapes
    ///
    /// - `x`: `[batch, inputs, height, width]`
    /// - output: `[batch, outputs, factor * height, factor * width]`
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let [batch, _, height, width] = x.dims();
        let ([outputs], factor) = (self.bias.dims(), self.factor);
        let x = self
            .apart(x)
            .reshape([batch, factor, factor, outputs, height, width]);
        x.permute([0, 3, 4, 1, 5, 2])
            .reshape([batch, outputs, factor * height, factor * width])
    }
}
