//! The AdamW step, and the sum of squares of all gradients.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// The hyperparameters of a step of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Learning rate of this step.
    pub rate: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Decay rates of the two moments.
    pub betas: [f32; 2],
    /// Added to the denominator.
    pub epsilon: f32,
    /// Number of steps including this one; at least 1.
    pub time: usize,
}

impl AdamWStep {
    /// `1 - beta^time`, the bias correction of each moment.
    pub(crate) fn corrections(self) -> [f32; 2] {
        self.betas.map(|beta| 1.0 - beta.powi(self.time as i32))
    }
}

/// A parameter, its gradient and its two moments before a step.
#[derive(Debug, Clone)]
pub struct AdamWTensors<B: KernelBackend> {
    /// The parameter.
    pub parameter: FloatTensor<B>,
    /// The gradient of the loss with respect to it.
    pub gradient: FloatTensor<B>,
    /// Running means of the gradient and of its square.
    pub moments: [FloatTensor<B>; 2],
}

/// The AdamW optimiser. On a GPU one launch updates many parameters.
#[derive(Debug)]
pub struct AdamW<B: KernelBackend> {
    unsent: Vec<(AdamWTensors<B>, AdamWStep)>,
}

impl<B: KernelBackend> Default for AdamW<B> {
    fn default() -> Self {
        Self { unsent: Vec::new() }
    }
}

impl<B: KernelBackend> AdamW<B> {
    /// Returns the parameter and its two moments after a step,
    ///
    /// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
    /// `p = (1 - rate decay) p - rate (m / c1) / (sqrt(v / c2) + epsilon)` with `c = 1 - b^time`.
    ///
    /// The values are valid once the steps are [sent](Self::send).
    ///
    /// # Shapes
    ///
    /// All tensors have the same shape.
    pub fn step<const D: usize>(
        &mut self,
        parameter: Tensor<B, D>,
        gradient: Tensor<B, D>,
        moments: [Tensor<B, D>; 2],
        step: AdamWStep,
    ) -> (Tensor<B, D>, [Tensor<B, D>; 2]) {
        let tensors = AdamWTensors {
            parameter: float(parameter),
            gradient: float(gradient),
            moments: moments.map(float),
        };
        let (parameter, moments) = B::adamw(tensors, step, &mut self.unsent);
        (tensor(parameter), moments.map(tensor))
    }

    /// Sends the pending steps to the device.
    pub fn send(&mut self) {
        B::send_adamw(std::mem::take(&mut self.unsent));
    }
}

/// Returns the sum of the squares of all elements of the tensors, `[1]`. The list must not be empty.
pub fn sum_of_squares<B: KernelBackend>(tensors: Vec<FloatTensor<B>>) -> Tensor<B, 1> {
    tensor(B::sum_of_squares(tensors))
}

pub(crate) fn forward<B: KernelBackend>(
    tensors: AdamWTensors<B>,
    step: AdamWStep,
) -> (FloatTensor<B>, [FloatTensor<B>; 2]) {
    let AdamWTensors {
        parameter,
        gradient,
        moments: [first, second],
    } = tensors;
    let [beta_1, beta_2] = step.betas;
    let [correction_1, correction_2] = step.corrections();
    let first = B::float_add(
        B::float_mul_scalar(first, beta_1.into()),
        B::float_mul_scalar(gradient.clone(), (1.0 - beta_1).into()),
    );
    let squares = B::float_mul(gradient.clone(), gradient);
    let second = B::float_add(
        B::float_mul_scalar(second, beta_2.into()),
        B::float_mul_scalar(squares, (1.0 - beta_2).into()),
    );
    let root = B::float_sqrt(B::float_div_scalar(second.clone(), correction_2.into()));
    let direction = B::float_div(
        B::float_div_scalar(first.clone(), correction_1.into()),
        B::float_add_scalar(root, step.epsilon.into()),
    );
    let kept = B::float_mul_scalar(parameter, (1.0 - step.rate * step.weight_decay).into());
    let parameter = B::float_sub(kept, B::float_mul_scalar(direction, step.rate.into()));
    (parameter, [first, second])
}

pub(crate) fn squares<B: KernelBackend>(tensors: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    let sum = |x: FloatTensor<B>| B::float_sum(B::float_mul(x.clone(), x));
    let sums: Vec<_> = tensors.into_iter().map(sum).collect();
    B::float_sum(B::float_cat(sums, 0))
}
