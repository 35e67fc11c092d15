//! A detection head: a neck and a detector on its maps.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Phase, StageShape};
use gradway_kernels::{KernelBackend, TrainBackend};

use super::bounds::Bounds;
use super::detector::{Detector, DetectorConfig};
use super::objects::{BatchTargets, DetectionLimits, SegmentedObject};
use crate::neck::{AnyNeck, Neck, NeckConfig};

/// A neck and a detector on its maps.
#[derive(Module, Debug)]
pub struct DetectionHead<B: Backend> {
    /// Makes the maps that the detector reads.
    pub neck: AnyNeck<B>,
    /// The detector.
    pub detector: Detector<B>,
}

impl DetectorConfig {
    /// Initialises the detector behind a neck, for the stages of a backbone, the finest first.
    pub fn on<B: Backend>(
        &self,
        neck: &NeckConfig,
        stages: &[StageShape],
        classes: usize,
        device: &B::Device,
    ) -> DetectionHead<B> {
        DetectionHead {
            neck: neck.init(stages, &|map| self.reads(map), device),
            detector: self.init(&neck.maps(stages), classes, device),
        }
    }
}

impl<B: TrainBackend> DetectionHead<B> {
    /// Returns the weighted sum of the losses of a batch, `[1]`.
    ///
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    pub fn loss(
        &self,
        features: &[Tensor<B, 4>],
        truth: &BatchTargets<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
        phase: Phase,
    ) -> Tensor<B, 1> {
        let maps = self.neck.forward(features, phase.stream("neck"));
        self.detector.loss(&maps, truth)
    }
}

impl<B: KernelBackend> DetectionHead<B> {
    /// Returns the objects of every image, in descending order of score.
    ///
    /// # Shapes
    ///
    /// - `features`: as for [`loss`](Self::loss)
    /// - `sizes`: `[batch]`, `[height, width]` of the images without padding
    pub fn detect(
        &self,
        features: &[Tensor<B, 4>],
        sizes: &[[usize; 2]],
        limits: DetectionLimits,
    ) -> Vec<Vec<SegmentedObject>> {
        let maps = self.neck.forward(features, Phase::Inference);
        self.detector.detect(&maps, sizes, limits)
    }
}
