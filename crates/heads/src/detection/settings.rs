//! The traits of detectors.

use burn::module::Module;
use burn::tensor::Tensor;
use gradway_kernels::{KernelBackend, TrainBackend};

use super::bounds::Bounds;
use super::objects::{BatchTargets, DetectionLimits, SegmentedObject};
use crate::maps::MapShape;
use crate::neck::NeckConfig;

/// The configuration of a detector.
pub trait DetectorSettings {
    /// Checks the fields, and that it can stand on maps of these shapes, the finest first.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
    fn validate(&self, maps: &[MapShape]) -> Result<(), String>;

    /// Returns the neck that it stands on if all stages of the backbone have one stride.
    fn neck(&self) -> NeckConfig {
        NeckConfig::default()
    }

    /// Whether it predicts masks, and is trained on masks.
    fn has_masks(&self) -> bool {
        false
    }

    /// Fields of the network whose parameters have a gradient only where there are objects, or regions of some.
    fn waits_for_objects(&self) -> &'static [&'static str];

    /// Whether it reads a map, counted from the finest.
    fn reads(&self, _map: usize) -> bool {
        true
    }
}

/// The network of one or several detectors.
pub trait DetectorNetwork<B: KernelBackend>: Module<B> {
    /// Returns the weighted sum of the losses of a batch, `[1]`.
    ///
    /// # Shapes
    ///
    /// - `features`: per map `[batch, channels, height, width]`, the finest first
    fn batch_loss(
        &self,
        features: &[Tensor<B, 4>],
        truth: &BatchTargets<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
    ) -> Tensor<B, 1>
    where
        B: TrainBackend;

    /// Returns the objects of every image, in descending order of score.
    ///
    /// # Shapes
    ///
    /// - `features`: as for [`batch_loss`](Self::batch_loss)
    /// - `sizes`: `[batch]`, `[height, width]` of the images without padding
    fn find(
        &self,
        features: &[Tensor<B, 4>],
        sizes: &[[usize; 2]],
        limits: DetectionLimits,
    ) -> Vec<Vec<SegmentedObject>>;
}
