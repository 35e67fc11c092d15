//! What every kernel's launch has in common.

use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

/// Units of a cube whose units do not work together.
const UNITS: u32 = 256;

/// A tensor whose rows lie one after another: the runtime pads rows, and a view's rows can be anywhere.
pub(super) fn dense<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    into_contiguous(x)
}

/// An uninitialised tensor on the device of another one, its rows one after another.
pub(super) fn empty<R: CubeRuntime>(
    like: &CubeTensor<R>,
    shape: impl Into<Shape>,
) -> CubeTensor<R> {
    empty_of(like, shape, like.dtype)
}

/// As [`empty`], of another type.
pub(super) fn empty_of<R: CubeRuntime>(
    like: &CubeTensor<R>,
    shape: impl Into<Shape>,
    dtype: DType,
) -> CubeTensor<R> {
    empty_device_contiguous_dtype(
        like.client.clone(),
        like.device.clone(),
        shape.into(),
        dtype,
    )
}

/// Whether kernels of single precision can take a tensor.
pub(super) fn is_single<R: CubeRuntime>(x: &CubeTensor<R>) -> bool {
    x.dtype == DType::F32
}

/// Whether kernels of a frozen backbone can take a tensor: half precision of either kind, too. They compute
/// in single precision all the same.
pub(super) fn is_float<R: CubeRuntime>(x: &CubeTensor<R>) -> bool {
    matches!(x.dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// `launch` with `float` for the type of a tensor's numbers.
macro_rules! with_type_of {
    ($tensor:expr, $float:ident => $launch:expr) => {
        match $tensor.dtype {
            burn::tensor::DType::BF16 => {
                type $float = burn::tensor::bf16;
                $launch
            }
            burn::tensor::DType::F16 => {
                type $float = burn::tensor::f16;
                $launch
            }
            _ => {
                type $float = f32;
                $launch
            }
        }
    };
}
pub(super) use with_type_of;

/// A unit for each of `count` things.
pub(super) fn elementwise<R: CubeRuntime>(
    client: &ComputeClient<R>,
    count: usize,
) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(UNITS);
    (cubes(client, count.div_ceil(UNITS as usize)), dim)
}

/// `count` cubes or a few more, over as many axes as the device needs for them.
pub(super) fn cubes<R: CubeRuntime>(client: &ComputeClient<R>, count: usize) -> CubeCount {
    calculate_cube_count_elemwise(client, count, CubeDim::new_single())
}
