//! The contract of a tuning method.

use burn::module::Module;
use burn::tensor::Tensor;
use gradway_backbone::{AnyBackbone, Phase};
use gradway_kernels::{KernelBackend, Lift};

/// Where a method keeps the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// On the inner backend: nothing is back-propagated through it.
    Frozen,
    /// Inside the method's module, on the backend that differentiates.
    Tracked,
}

/// What the table says of a method.
#[derive(Debug, Clone)]
pub struct MethodDescriptor {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// What it trains, in a line.
    pub summary: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// Where it keeps the backbone.
    pub placement: Placement,
}

/// The module of a method: everything it trains, and how features come of it.
pub trait Method<B: KernelBackend>: Module<B> {
    /// The features that a neck receives: every stage, normalised, in
    /// `[batch, channels, height, width]`.
    ///
    /// `frozen` is the backbone of a method of [`Placement::Frozen`]; a method of
    /// [`Placement::Tracked`] has its own and leaves it alone. `L` carries tensors of the frozen
    /// side over to `B`: as constants in training, as they are in evaluation.
    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        frozen: Option<&AnyBackbone<F>>,
        images: Tensor<F, 4>,
        phase: Phase,
    ) -> Vec<Tensor<B, 4>>;
}
