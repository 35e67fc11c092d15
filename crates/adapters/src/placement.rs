//! The two placements of a method: beside a frozen backbone, or around it.

use burn::tensor::Tensor;
use gradway_backbone::{Access, Backbone, OutputNorms, Phase, Tunable, Untouched};
use gradway_kernels::{KernelBackend, Lift};

use crate::method::Method;
use crate::selected::Selected;

/// The module of a method whose frozen backbone stays on the inner backend: no gradient passes through the backbone.
pub trait Beside<B: KernelBackend>: Method<B> {
    /// Runs one pass through the backbone. `L` moves tensors of the backbone to `B`: as constants in training,
    /// unchanged in evaluation.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`, normalised
    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        frozen: &impl Backbone<F>,
        images: Tensor<F, 4>,
        phase: Phase,
    ) -> Self::Shared;
}

/// The module of a method that holds its backbone, on the autodiff backend.
pub trait Around<B: KernelBackend, N: Tunable<B>>: Method<B> {
    /// Runs one pass through the backbone, or one per task.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`, normalised
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Self::Shared;

    /// Returns the backbone with the trained parameters merged into it, and the output norms; `None` if the
    /// method cannot be merged, see the [descriptor](crate::MethodDescriptor::merges).
    fn merged(&self) -> Option<Selected<B, N>> {
        None
    }
}

/// Returns the features of a method that holds its backbone, given its access.
pub(crate) fn features_around<B: KernelBackend>(
    backbone: &impl Backbone<B>,
    norms: &OutputNorms<B>,
    images: Tensor<B, 4>,
    phase: Phase,
    access: &mut impl Access<B>,
) -> Vec<Tensor<B, 4>> {
    let outputs = backbone.forward(images, phase, access);
    norms.forward_all(outputs, backbone.description().axis)
}

impl<B: KernelBackend, N: Tunable<B>> Method<B> for Selected<B, N> {
    type Shared = Vec<Tensor<B, 4>>;

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}

impl<B: KernelBackend, N: Tunable<B>> Around<B, N> for Selected<B, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Tensor<B, 4>> {
        features_around(&self.backbone, &self.norms, images, phase, &mut Untouched)
    }

    fn merged(&self) -> Option<Selected<B, N>> {
        Some(self.clone())
    }
}
