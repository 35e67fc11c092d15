//! What every detector says of itself, and does.

use burn::module::Module;
use burn::tensor::Tensor;
use gradway_kernels::{KernelBackend, TrainBackend};

use super::bounds::Bounds;
use super::objects::{DetectionLimits, Segmented, Truth};

/// What the configuration of a detector says beside its fields.
pub trait DetectorSettings {
    /// What is wrong with the fields, if anything: the key and why.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and its value.
    fn validate(&self) -> Result<(), String>;

    /// Whether it predicts masks, and so is trained on some.
    fn has_masks(&self) -> bool {
        false
    }

    /// Fields of the network whose parameters have a gradient only where there are objects, or regions of some.
    fn waits_for_objects(&self) -> &'static [&'static str];

    /// Whether it reads a stage of the backbone, counted from the finest.
    fn reads(&self, _stage: usize) -> bool {
        true
    }
}

/// The network of one detector or several.
pub trait DetectorNetwork<B: KernelBackend>: Module<B> {
    /// The weighted sum of the losses of a batch, `[1]`.
    ///
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    fn batch_loss(
        &self,
        features: &[Tensor<B, 4>],
        truth: &Truth<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
    ) -> Tensor<B, 1>
    where
        B: TrainBackend;

    /// The objects of every image, the surest first.
    ///
    /// # Shapes
    ///
    /// - `features`: as of [`batch_loss`](Self::batch_loss)
    /// - `sizes`: `[batch]`, `[height, width]` of the images without padding
    fn find(
        &self,
        features: &[Tensor<B, 4>],
        sizes: &[[usize; 2]],
        limits: DetectionLimits,
    ) -> Vec<Vec<Segmented>>;
}
