//! The sum of a map and a coarser one: the top-down path of a feature pyramid.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor, TensorData};

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// `fine + coarse`, with the coarse map enlarged to the size of the fine one by nearest-neighbour
/// interpolation, as PyTorch's `interpolate`: position `i` of `n` takes `floor(i m / n)` of `m`.
///
/// The enlarged map is never stored. Under autodiff nothing is kept.
///
/// # Shapes
///
/// - `fine`, output: `[batch, channels, height, width]`
/// - `coarse`: `[batch, channels, coarse height, coarse width]`
pub fn add_nearest<B: KernelBackend>(fine: Tensor<B, 4>, coarse: Tensor<B, 4>) -> Tensor<B, 4> {
    assert_eq!(fine.dims()[..2], coarse.dims()[..2], "maps of one batch");
    tensor(B::add_nearest(float(fine), float(coarse)))
}

/// [`add_nearest`] in plain Burn.
pub fn add_nearest_reference<B: KernelBackend>(
    fine: Tensor<B, 4>,
    coarse: Tensor<B, 4>,
) -> Tensor<B, 4> {
    tensor(forward::<B>(float(fine), float(coarse)))
}

/// The coarse position of every fine position.
pub(crate) fn sources(coarse: usize, fine: usize) -> Vec<usize> {
    (0..fine).map(|index| index * coarse / fine).collect()
}

fn indices<B: KernelBackend>(coarse: usize, fine: usize, device: &B::Device) -> Tensor<B, 1, Int> {
    let sources = sources(coarse, fine).into_iter().map(|index| index as i32);
    let sources: Vec<i32> = sources.collect();
    Tensor::from_data(TensorData::new(sources, [fine]), device)
}

pub(crate) fn forward<B: KernelBackend>(
    fine: FloatTensor<B>,
    coarse: FloatTensor<B>,
) -> FloatTensor<B> {
    let (fine, coarse) = (tensor::<B, 4>(fine), tensor::<B, 4>(coarse));
    let ([_, _, height, width], [_, _, rows, columns]) = (fine.dims(), coarse.dims());
    let device = fine.device();
    let enlarged = coarse
        .select(2, indices::<B>(rows, height, &device))
        .select(3, indices::<B>(columns, width, &device));
    float(fine + enlarged)
}

/// The gradient of a coarse map of size `[height, width]`: sums over the fine positions of every coarse one,
/// computed as a product with a constant matrix for each axis.
pub(crate) fn backward<B: KernelBackend>(
    grad: FloatTensor<B>,
    [rows, columns]: [usize; 2],
) -> FloatTensor<B> {
    let grad = tensor::<B, 4>(grad);
    let [batch, channels, height, width] = grad.dims();
    let device = grad.device();
    let matrix = |coarse: usize, fine: usize| {
        let mut values = vec![0.0_f32; coarse * fine];
        for (position, source) in sources(coarse, fine).into_iter().enumerate() {
            values[source * fine + position] = 1.0;
        }
        Tensor::<B, 2>::from_data(TensorData::new(values, [coarse, fine]), &device)
    };
    let grad = grad.reshape([batch * channels, height, width]);
    let down = matrix(rows, height).unsqueeze::<3>().matmul(grad);
    let across = matrix(columns, width).transpose().unsqueeze::<3>();
    float(
        down.matmul(across)
            .reshape([batch, channels, rows, columns]),
    )
}
