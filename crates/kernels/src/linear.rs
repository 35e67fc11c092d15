//! Matrix products over positions.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// `x W + b` as a single matrix product over all positions.
///
/// Burn broadcasts a weight over every leading axis, which makes one small product per row of a
/// feature map; flattened, it is one product of the whole map.
///
/// # Shapes
///
/// - `x`: `[..., inputs]`
/// - `weight`: `[inputs, outputs]`, `bias`: `[outputs]`
/// - output: `[..., outputs]`
pub fn linear<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, D> {
    let mut shape = x.shape();
    let [inputs, outputs] = weight.dims();
    let rows = x.reshape([shape.num_elements() / inputs, inputs]);
    let product = rows.matmul(weight);
    let product = match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    };
    shape[D - 1] = outputs;
    product.reshape(shape)
}

/// A 1x1 convolution as a matrix product: `y[n, :, p] = W^T x[n, :, p] + b`.
///
/// Burn's convolution keeps its input for the backward pass even where the weight is frozen; a
/// product keeps only what a gradient needs.
///
/// # Shapes
///
/// - `x`: `[batch, inputs, height, width]`
/// - `weight`: `[inputs, outputs]`, `bias`: `[outputs]`
/// - output: `[batch, outputs, height, width]`
pub fn project_channels<B: Backend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 4> {
    let [batch, inputs, height, width] = x.dims();
    let outputs = weight.dims()[1];
    let columns = x.reshape([batch, inputs, height * width]);
    let product = weight.transpose().unsqueeze::<3>().matmul(columns);
    let product = match bias {
        // `[outputs, 1]` repeated along the batch keeps the addend a plain row scalar, the one
        // per-channel broadcast that is fast on every backend.
        Some(bias) => product + bias.reshape([1, outputs, 1]).repeat_dim(0, batch),
        None => product,
    };
    product.reshape([batch, outputs, height, width])
}
