//! The region proposal network (Ren et al. 2015, arXiv 1506.01497) on a feature pyramid.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{Activation, KernelBackend, nms};

use super::anchors::AnchorGenerator;
use super::bounds::is_larger;
use super::coder::BoxCoder;
use super::dense::{Assignment, Level, Targets, found};
use super::losses::{BoxLoss, binary_cross_entropy};
use super::matcher::Matcher;
use super::objects::{DetectedObject, Objects};
use super::sampler::Sampler;
use crate::convolution::Convolution;

/// The number of anchors per image in the loss, and the maximum share of those with an object.
const SAMPLER: Sampler = Sampler {
    count: 256,
    objects: 0.5,
};

/// Limits on the proposals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProposalLimits {
    /// Maximum number of candidates per level.
    pub per_level: usize,
    /// IoU threshold of non-maximum suppression within a level.
    pub overlap: f32,
    /// Maximum number of proposals per image.
    pub per_image: usize,
}

impl ProposalLimits {
    /// The limits in training.
    pub const TRAINING: Self = Self {
        per_level: 2000,
        overlap: 0.7,
        per_image: 1000,
    };
    /// The limits in inference.
    pub const INFERENCE: Self = Self {
        per_level: 1000,
        ..Self::TRAINING
    };
}

/// The network: a convolution and outputs for objectness and box offsets, all shared by the levels.
#[derive(Module, Debug)]
pub struct ProposalNetwork<B: Backend> {
    /// 3x3 convolution.
    pub convolution: Convolution<B>,
    /// `[anchors, channels, 1, 1]`
    pub objectness: Convolution<B>,
    /// `[anchors * 4, channels, 1, 1]`
    pub offsets: Convolution<B>,
    #[module(skip)]
    strides: Vec<f32>,
}

/// The two losses, without their weights.
#[derive(Debug, Clone)]
pub struct ProposalLosses<B: KernelBackend> {
    /// Mean binary cross entropy over the sampled anchors.
    pub objectness: Tensor<B, 1>,
    /// L1 loss of the offsets, divided by the same number.
    pub boxes: Tensor<B, 1>,
}

impl<B: Backend> ProposalNetwork<B> {
    /// Creates the network for maps with these channels and strides.
    pub fn new(channels: usize, strides: &[f32], device: &B::Device) -> Self {
        let anchors = AnchorGenerator::proposals(strides).per_position();
        let normal =
            |outputs, kernel| Convolution::normal([channels, outputs, kernel], 0.01, device);
        Self {
            convolution: normal(channels, 3),
            objectness: normal(anchors, 1),
            offsets: normal(4 * anchors, 1),
            strides: strides.to_vec(),
        }
    }
}

impl<B: KernelBackend> ProposalNetwork<B> {
    fn anchors(&self) -> AnchorGenerator {
        AnchorGenerator::proposals(&self.strides)
    }

    /// # Shapes
    ///
    /// - `maps`: per level `[batch, channels, height, width]`, the finest first
    pub fn forward(&self, maps: &[Tensor<B, 4>]) -> Vec<Level<B>> {
        let anchors = self.anchors().per_position();
        let level = |map: &Tensor<B, 4>| {
            let x = self.convolution.forward(map.clone(), 1, Activation::Relu);
            let objectness = self.objectness.forward(x.clone(), 1, Activation::Identity);
            let offsets = self.offsets.forward(x, 1, Activation::Identity);
            Level::new(objectness, offsets, anchors)
        };
        maps.iter().map(level).collect()
    }

    /// Returns the losses of a batch; `seed` decides which anchors are sampled.
    pub fn losses(
        &self,
        levels: &[Level<B>],
        objects: &[Objects],
        sizes: &[[usize; 2]],
        seed: u64,
    ) -> ProposalLosses<B> {
        let assignment = Assignment {
            matcher: Matcher {
                object: 0.7,
                background: 0.3,
                best_from: Some(0.3),
            },
            sampling: Some((SAMPLER, seed)),
        };
        let objects: Vec<Objects> = objects.iter().map(Objects::without_classes).collect();
        let maps: Vec<[usize; 2]> = levels.iter().map(|level| level.size).collect();
        let targets = Targets::new(&self.anchors(), assignment, &maps, &objects, sizes);
        let count = targets.counted.max(1) as f32;
        let objectness = targets.class_loss(levels, binary_cross_entropy);
        let boxes = match targets.offsets(levels) {
            Some(offsets) => {
                let (wanted, anchors) = (&targets.wanted, &targets.anchors);
                BoxLoss::L1.of(offsets, wanted, anchors, BoxCoder::PLAIN)
            }
            None => objectness.zeros_like(),
        };
        ProposalLosses {
            objectness: objectness / count,
            boxes: boxes / count,
        }
    }

    /// Computes the candidates for proposals on the device, without reading them.
    pub fn candidates(
        &self,
        levels: Vec<Level<B>>,
        sizes: &[[usize; 2]],
        limits: ProposalLimits,
    ) -> ProposalCandidates<B> {
        let generator = self.anchors();
        let level = |(index, level): (usize, Level<B>)| {
            let best = level.best(index, &generator, sizes, limits.per_level);
            // Levels do not suppress each other.
            let kept = nms(best.bounds.clone(), limits.overlap);
            best.with(kept)
        };
        ProposalCandidates {
            levels: levels.into_iter().enumerate().map(level).collect(),
            limits,
        }
    }
}

/// Candidates of every level, with 1 for those that are kept by non-maximum suppression.
#[derive(Debug)]
pub struct ProposalCandidates<B: KernelBackend> {
    levels: Vec<Tensor<B, 3>>,
    limits: ProposalLimits,
}

impl<B: KernelBackend> ProposalCandidates<B> {
    /// Reads the proposals of every image from the device, in descending order of score; their class has no meaning.
    pub fn read(self) -> Vec<Vec<DetectedObject>> {
        let images = found(self.levels, f32::NEG_INFINITY).into_iter();
        let proposals = images.map(|found| {
            let is_proposal = |(object, kept): &(DetectedObject, f32)| {
                *kept > 0.5 && is_larger(object.bounds, 0.0)
            };
            let mut found: Vec<_> = found.into_iter().filter(is_proposal).collect();
            found.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score));
            found.truncate(self.limits.per_image);
            found.into_iter().map(|(object, _)| object).collect()
        });
        proposals.collect()
    }
}
