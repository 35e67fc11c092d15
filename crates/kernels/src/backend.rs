//! The bounds: which backends have the operators of this crate.

use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::{FloatTensor, IntTensor};

use crate::low_rank::{ChannelAxis, LowRankPrimitives};
use crate::{batch_norm, cross_entropy, low_rank};

/// A Burn backend with the operators of this crate.
///
/// The defaults are plain Burn, so that `impl KernelBackend for MyBackend {}` is all a new backend
/// needs; a backend with a better way overrides a method.
pub trait KernelBackend: Backend {
    /// Layer normalisation over the last axis of `[rows, channels]`. See [`crate::layer_norm`].
    fn layer_norm_rows(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        // Burn's own hook: a fused row kernel on Flex, a decomposition elsewhere.
        <Self as burn::tensor::ops::ModuleOps<Self>>::layer_norm(rows, gamma, Some(beta), epsilon)
    }

    /// Dual low-rank bottleneck of `[batch, positions, channels]`. See [`crate::low_rank_adapter`].
    fn low_rank_bottleneck(
        input: FloatTensor<Self>,
        weights: LowRankPrimitives<Self>,
        axis: ChannelAxis,
    ) -> FloatTensor<Self> {
        low_rank::forward::<Self>(input, weights, axis)
    }

    /// Normalisation with batch statistics of `[batch, channels, positions]`: the output, the mean
    /// and the biased variance, each `[channels]`. See [`crate::batch_norm`].
    fn batch_norm_train(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        batch_norm::forward::<Self>(input, gamma, beta, epsilon)
    }

    /// Weighted cross entropy of `[rows, classes]`, a scalar `[1]`. See [`crate::cross_entropy`].
    fn cross_entropy_rows(
        rows: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        cross_entropy::forward::<Self>(rows, labels, weights).0
    }
}

/// An autodiff backend whose inner backend has the operators too: what training code asks for.
pub trait TrainBackend: AutodiffBackend<InnerBackend: KernelBackend> + KernelBackend {}

impl<B: AutodiffBackend<InnerBackend: KernelBackend> + KernelBackend> TrainBackend for B {}

/// How a tensor of the frozen backbone's backend `F` enters a computation on `B`.
///
/// Training lifts across the autodiff boundary ([`Constant`]: no graph, so no gradient can flow
/// back); evaluation has one backend on both sides ([`Same`]). Code generic over `Lift` is written
/// once for both.
pub trait Lift<F: Backend, B: Backend> {
    /// The same values on `B`. Shares storage.
    fn lift<const D: usize>(tensor: Tensor<F, D>) -> Tensor<B, D>;
}

/// Lifts from the inner backend as a constant of the graph.
#[derive(Debug, Clone, Copy)]
pub struct Constant;

impl<B: AutodiffBackend> Lift<B::InnerBackend, B> for Constant {
    fn lift<const D: usize>(tensor: Tensor<B::InnerBackend, D>) -> Tensor<B, D> {
        Tensor::from_inner(tensor)
    }
}

/// Stays on the same backend.
#[derive(Debug, Clone, Copy)]
pub struct Same;

impl<B: Backend> Lift<B, B> for Same {
    fn lift<const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
        tensor
    }
}

#[cfg(feature = "cpu")]
impl KernelBackend for burn_flex::Flex {}

#[cfg(feature = "cuda")]
impl KernelBackend for burn::backend::Cuda {}

#[cfg(feature = "rocm")]
impl KernelBackend for burn::backend::Rocm {}

// Vulkan, Metal and WebGPU are one type whose width of booleans differs; when several are compiled
// in, the runtime picks the graphics interface and the type of the first is enough.
#[cfg(any(feature = "vulkan", feature = "metal"))]
impl KernelBackend for burn::backend::wgpu::Wgpu<f32, i32, u8> {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
impl KernelBackend for burn::backend::wgpu::Wgpu<f32, i32, u32> {}
