//! What is measured: a shape, and the ways to compute it.

use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeRuntime};
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};

pub type Plain<R> = CubeBackend<R, f32, i32, u8>;

pub fn random<R: CubeRuntime, const D: usize>(
    shape: [usize; D],
    device: &R::Device,
) -> CubeTensor<R>
where
    Plain<R>: Backend<Device = R::Device, FloatTensorPrimitive = CubeTensor<R>>,
{
    let tensor = Tensor::<Plain<R>, D>::random(shape, Distribution::Normal(0.0, 1.0), device);
    tensor.into_primitive().tensor()
}

/// Computes once; what refused says why.
pub type Run<R> = Box<dyn Fn() -> Result<CubeTensor<R>, String>>;

/// The ways to do one thing.
pub struct Shape<R: CubeRuntime> {
    pub name: String,
    pub operations: f64,
    pub strategies: Vec<(String, Run<R>)>,
    pub rank: usize,
}

pub fn elements<R: CubeRuntime>(x: &CubeTensor<R>) -> MatmulElems {
    MatmulElems::from_globals(&MatmulGlobalElems {
        lhs: x.dtype.into(),
        rhs: x.dtype.into(),
        out: x.dtype.into(),
    })
}
