//! Helpers to launch kernels.

use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

/// Number of units of a cube whose units work independently.
const UNITS: u32 = 256;

/// Returns a contiguous tensor: the runtime pads rows, and a view's rows can be anywhere.
pub(super) fn dense<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    into_contiguous(x)
}

/// A contiguous uninitialised tensor on the device of another one.
pub(super) fn empty<R: CubeRuntime>(
    like: &CubeTensor<R>,
    shape: impl Into<Shape>,
) -> CubeTensor<R> {
    empty_of(like, shape, like.dtype)
}

/// As [`empty`], with another type.
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

/// Whether single-precision kernels support a tensor.
pub(super) fn is_single<R: CubeRuntime>(x: &CubeTensor<R>) -> bool {
    x.dtype == DType::F32
}

/// Whether the kernels of a frozen backbone support a tensor: single precision or half precision of either
/// kind. They compute in single precision.
pub(super) fn is_float<R: CubeRuntime>(x: &CubeTensor<R>) -> bool {
    matches!(x.dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// Runs `launch` with `float` as the element type of a tensor.
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

/// One unit for each of `count` elements.
pub(super) fn elementwise<R: CubeRuntime>(
    client: &ComputeClient<R>,
    count: usize,
) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(UNITS);
    (cubes(client, count.div_ceil(UNITS as usize)), dim)
}

/// `count` cubes or a few more, over as many axes as the device needs.
pub(super) fn cubes<R: CubeRuntime>(client: &ComputeClient<R>, count: usize) -> CubeCount {
    calculate_cube_count_elemwise(client, count, CubeDim::new_single())
}
