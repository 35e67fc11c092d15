//! Projections by parameterised hypercomplex multiplication, `W = sum_i A_i (x) B_i` with Kronecker products
//! (Zhang et al. 2021, arXiv 2102.08597): `n` times fewer parameters than `W`.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Description;
use gradway_kernels::KernelBackend;

use crate::method::kaiming;

/// Initialises `A_i`, `[n, n, n]`, from a normal distribution with deviation 0.01, as in the public code of
/// Compacter.
pub(crate) fn rules<B: Backend>(n: usize, device: &B::Device) -> Param<Tensor<B, 3>> {
    let normal = Initializer::Normal {
        mean: 0.0,
        std: 0.01,
    };
    normal.init([n, n, n], device)
}

/// Full `B_i`, `[n, inputs / n, outputs / n]`.
#[derive(Module, Debug)]
pub struct Dense<B: Backend> {
    /// `[n, inputs / n, outputs / n]`
    pub weight: Param<Tensor<B, 3>>,
}

/// Factorised `B_i = s_i t_i`, of rank 1 by default.
#[derive(Module, Debug)]
pub struct Thin<B: Backend> {
    /// `[n, inputs / n, rank]`
    pub left: Param<Tensor<B, 3>>,
    /// `[n, rank, outputs / n]`
    pub right: Param<Tensor<B, 3>>,
}

impl<B: Backend> Dense<B> {
    pub(crate) fn new(
        n: usize,
        [inputs, outputs]: [usize; 2],
        zero: bool,
        device: &B::Device,
    ) -> Self {
        let shape = [n, inputs / n, outputs / n];
        Self {
            weight: match zero {
                true => Initializer::Zeros.init(shape, device),
                false => kaiming(shape, inputs, device),
            },
        }
    }
}

impl<B: Backend> Thin<B> {
    pub(crate) fn new(
        n: usize,
        [inputs, outputs]: [usize; 2],
        rank: usize,
        zero: bool,
        device: &B::Device,
    ) -> Self {
        let right = [n, rank, outputs / n];
        Self {
            left: kaiming([n, inputs / n, rank], inputs / n, device),
            right: match zero {
                true => Initializer::Zeros.init(right, device),
                false => kaiming(right, rank, device),
            },
        }
    }

    /// `B_i`, `[n, inputs / n, outputs / n]`.
    pub fn product(&self) -> Tensor<B, 3> {
        self.left.val().matmul(self.right.val())
    }
}

/// `sum_i A_i (x) B_i`, `[inputs, outputs]`.
///
/// # Shapes
///
/// - `rules`: `[n, n, n]`, `A_i` by rows and columns
/// - `blocks`: `[n, inputs / n, outputs / n]`
pub(crate) fn weight<B: KernelBackend>(rules: Tensor<B, 3>, blocks: Tensor<B, 3>) -> Tensor<B, 2> {
    let [n, rows, columns] = blocks.dims();
    // Places of the rules by terms, times terms by places of the blocks.
    let rules = rules.reshape([n, n * n]).transpose();
    let sum = rules.matmul(blocks.reshape([n, rows * columns]));
    sum.reshape([n, n, rows, columns])
        .permute([0, 2, 1, 3])
        .reshape([n * rows, n * columns])
}

/// Returns why projections between these widths cannot be sums of `n` products, if they cannot.
pub(crate) fn misfit(n: usize, backbone: &Description) -> Option<&'static str> {
    let mut widths = backbone.sections.iter().map(|section| section.channels);
    let reason = "method.n must divide the channels of every section";
    (!widths.all(|channels| channels.is_multiple_of(n))).then_some(reason)
}

/// Checks that `n` divides the width of the bottleneck.
pub(crate) fn divides(n: usize, width: usize) -> Result<(), String> {
    crate::method::in_range("n", n)?;
    crate::method::in_range("width", width)?;
    match width.is_multiple_of(n) {
        true => Ok(()),
        false => Err(format!(
            "method.width = {width} is not a multiple of method.n = {n}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn a_kronecker_product_by_hand() {
        let device = Default::default();
        let rules = TensorData::from([[[1.0f32, 2.0], [0.0, -1.0]], [[0.0, 0.0], [1.0, 0.0]]]);
        let blocks = TensorData::from([[[1.0f32, 10.0, 100.0]], [[5.0, 6.0, 7.0]]]);
        let weight = weight::<Flex>(
            Tensor::from_data(rules, &device),
            Tensor::from_data(blocks, &device),
        );
        let expected = TensorData::from([
            [1.0f32, 10.0, 100.0, 2.0, 20.0, 200.0],
            [5.0, 6.0, 7.0, -1.0, -10.0, -100.0],
        ]);
        assert_eq!(weight.into_data(), expected);
    }
}
