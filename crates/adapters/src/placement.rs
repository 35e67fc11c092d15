//! The two placements of a method: beside a frozen backbone, or around it.

use burn::tensor::Tensor;
use gradway_backbone::{Access, AnyBackbone, Backbone as _, OutputNorms, Phase, Untouched};
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
        frozen: &AnyBackbone<F>,
        images: Tensor<F, 4>,
        phase: Phase,
    ) -> Self::Shared;
}

/// The module of a method that holds its backbone, on the autodiff backend.
pub trait Around<B: KernelBackend>: Method<B> {
    /// Runs one pass through the backbone, or one per task.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`, normalised
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Self::Shared;
}

/// Returns the features of a method that holds its backbone, given its access.
pub(crate) fn features_around<B: KernelBackend>(
    backbone: &AnyBackbone<B>,
    norms: &OutputNorms<B>,
    images: Tensor<B, 4>,
    phase: Phase,
    access: &mut impl Access<B>,
) -> Vec<Tensor<B, 4>> {
    let outputs = backbone.forward(images, phase, access);
    norms.forward_all(outputs, backbone.description().axis)
}

impl<B: KernelBackend> Method<B> for Selected<B> {
    type Shared = Vec<Tensor<B, 4>>;

    fn merged(&self) -> Option<Selected<B>> {
        Some(self.clone())
    }

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}

impl<B: KernelBackend> Around<B> for Selected<B> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Tensor<B, 4>> {
        features_around(&self.backbone, &self.norms, images, phase, &mut Untouched)
    }
}
