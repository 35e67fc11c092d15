//! A step of AdamW, and the squares of all gradients together.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use crate::KernelBackend;
use crate::layer_norm::{float, tensor};

/// What a step of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Rate of this step.
    pub rate: f32,
    /// Decoupled decay of the parameter.
    pub weight_decay: f32,
    /// Decay rates of the two moments.
    pub betas: [f32; 2],
    /// Added to the denominator.
    pub epsilon: f32,
    /// Steps, this one included: at least 1.
    pub time: usize,
}

impl AdamWStep {
    /// `1 - beta^time`: what a moment that began at zero lacks.
    pub(crate) fn corrections(self) -> [f32; 2] {
        self.betas.map(|beta| 1.0 - beta.powi(self.time as i32))
    }
}

/// The parameter and its two moments after a step,
///
/// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
/// `p = (1 - rate decay) p - rate (m / c1) / (sqrt(v / c2) + epsilon)` with `c = 1 - b^time`.
///
/// # Shapes
///
/// All alike.
pub fn adamw<B: KernelBackend, const D: usize>(
    parameter: Tensor<B, D>,
    gradient: Tensor<B, D>,
    moments: [Tensor<B, D>; 2],
    step: AdamWStep,
) -> (Tensor<B, D>, [Tensor<B, D>; 2]) {
    let (parameter, moments) =
        B::adamw(float(parameter), float(gradient), moments.map(float), step);
    (tensor(parameter), moments.map(tensor))
}

/// The sum of the squares of some tensors, `[1]`; none is an error of the programmer.
pub fn sum_of_squares<B: KernelBackend>(tensors: Vec<FloatTensor<B>>) -> Tensor<B, 1> {
    tensor(B::sum_of_squares(tensors))
}

pub(crate) fn forward<B: KernelBackend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    [first, second]: [FloatTensor<B>; 2],
    step: AdamWStep,
) -> (FloatTensor<B>, [FloatTensor<B>; 2]) {
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
