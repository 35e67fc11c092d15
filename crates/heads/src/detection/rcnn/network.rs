//! The network of multi-stage detectors.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::{KernelBackend, Roi, TrainBackend, read};

use crate::detection::bounds::{Bounds, clip};
use crate::detection::box_head::{BoxHead, BoxHeadConfig, BoxOutputs, BoxTarget};
use crate::detection::coder::BoxCoder;
use crate::detection::mask_head::MaskHead;
use crate::detection::matcher::Matcher;
use crate::detection::objects::{BatchTargets, DetectedObject, Objects};
use crate::detection::pooler::{Pooler, Regions};
use crate::detection::proposals::{ProposalLimits, ProposalLosses, ProposalNetwork};
use crate::detection::pyramid::{ExtraLevels, FeaturePyramid};
use crate::detection::regions::{Region, choose};
use crate::detection::sampler::Sampler;
use crate::maps::MapShape;
use crate::staged::StagedLoss;

use super::config::{RcnnConfig, StageConfig};

/// Side of a pooled region for a box head, and for a mask head.
pub(super) const SIDES: [usize; 2] = [7, 14];
/// The number of regions per image that a stage is trained on, and the maximum share of those with an object.
const SAMPLER: Sampler = Sampler {
    count: 512,
    objects: 0.25,
};

impl RcnnConfig {
    /// Initialises the detector for maps of these shapes, the finest first.
    pub fn init<B: Backend>(
        &self,
        maps: &[MapShape],
        classes: usize,
        device: &B::Device,
    ) -> Rcnn<B> {
        let channels = self.channels;
        let extra = ExtraLevels::Subsampled;
        let pyramid = FeaturePyramid::new(maps, 0, channels, extra, device);
        let proposals = ProposalNetwork::new(channels, &pyramid.strides(), device);
        let boxes = |_: &StageConfig| {
            let config = BoxHeadConfig {
                convolutions: self.box_convolutions,
                width: self.width,
                is_class_agnostic: self.is_class_agnostic,
            };
            config.init([channels, SIDES[0]], classes, device)
        };
        let masks =
            |_: &StageConfig| MaskHead::new(channels, self.mask_convolutions, classes, device);
        let has_masks = self.mask_convolutions > 0;
        let masked = self
            .stages
            .iter()
            .take(if has_masks { usize::MAX } else { 0 });
        Rcnn {
            pyramid,
            proposals,
            boxes: self.stages.iter().map(boxes).collect(),
            masks: masked.map(masks).collect(),
            config: self.clone(),
        }
    }
}

/// A feature pyramid, a region proposal network, and a box head and optionally a mask head for every stage.
#[derive(Module, Debug)]
pub struct Rcnn<B: Backend> {
    /// Feature pyramid with one coarser level.
    pub pyramid: FeaturePyramid<B>,
    /// Region proposal network on all levels.
    pub proposals: ProposalNetwork<B>,
    /// A box head for every stage.
    pub boxes: Vec<BoxHead<B>>,
    /// A mask head for every stage, or none.
    pub masks: Vec<MaskHead<B>>,
    #[module(skip)]
    pub(super) config: RcnnConfig,
}

/// The losses of a batch, without the weights of the stages.
#[derive(Debug, Clone)]
pub struct RcnnLosses<B: KernelBackend> {
    /// Losses of the proposals.
    pub proposals: ProposalLosses<B>,
    /// Losses of the stages.
    pub stages: Vec<StageLosses<B>>,
}

/// The losses of a stage, without its weight.
#[derive(Debug, Clone)]
pub struct StageLosses<B: KernelBackend> {
    /// Mean cross entropy of the classes.
    pub classes: Tensor<B, 1>,
    /// Box loss.
    pub boxes: Tensor<B, 1>,
    /// Mean binary cross entropy of the masks, if there is a mask head.
    pub masks: Option<Tensor<B, 1>>,
}

impl<B: KernelBackend> RcnnLosses<B> {
    /// Returns the weighted sum of all losses, `[1]`.
    pub fn total(self, config: &RcnnConfig) -> Tensor<B, 1> {
        let mut total = self.proposals.objectness + self.proposals.boxes;
        for (losses, stage) in self.stages.into_iter().zip(&config.stages) {
            total = total + losses.total(config.box_weight) * stage.weight;
        }
        total
    }
}

impl<B: KernelBackend> StageLosses<B> {
    fn total(self, box_weight: f64) -> Tensor<B, 1> {
        let total = self.classes + self.boxes * box_weight;
        match self.masks {
            Some(masks) => total + masks,
            None => total,
        }
    }
}

impl<B: TrainBackend> Rcnn<B> {
    /// Returns the [`total`](RcnnLosses::total) of the [`losses`](Self::losses) with the same gradients. Only
    /// one stage's graph is alive at a time: its gradients are computed before the next stage begins.
    pub fn loss(
        &self,
        features: &[Tensor<B, 4>],
        truth: &BatchTargets<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
    ) -> Tensor<B, 1> {
        let mut maps = StagedLoss::new(self.pyramid.forward(features));
        let leaves = maps.leaves();
        let device = leaves[0].device();
        let (losses, mut candidates) = self.proposal_losses(&leaves, truth);
        let loss = losses.objectness + losses.boxes;
        maps.take(loss, &leaves, &self.proposals);
        for (index, stage) in self.config.stages.iter().enumerate() {
            let leaves = maps.leaves();
            let losses = self.stage_losses(index, &leaves, &mut candidates, truth);
            let loss = losses.total(self.config.box_weight) * stage.weight;
            maps.take(loss, &leaves, self);
        }
        maps.loss(&device)
    }
}

impl<B: KernelBackend> Rcnn<B> {
    /// Returns the configuration.
    pub fn config(&self) -> &RcnnConfig {
        &self.config
    }

    pub(super) fn pooler(&self, side: usize) -> Pooler {
        // The coarsest level serves proposals alone.
        let mut strides = self.pyramid.strides();
        strides.pop();
        Pooler {
            strides,
            size: side,
        }
    }

    /// Returns the losses of a batch.
    ///
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    pub fn losses(
        &self,
        features: &[Tensor<B, 4>],
        truth: &BatchTargets<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
    ) -> RcnnLosses<B> {
        let maps = self.pyramid.forward(features);
        let (proposals, mut candidates) = self.proposal_losses(&maps, truth);
        let stages = (0..self.boxes.len())
            .map(|index| self.stage_losses(index, &maps, &mut candidates, truth))
            .collect();
        RcnnLosses { proposals, stages }
    }

    /// Returns the losses of the proposals, and the proposals of every image.
    fn proposal_losses<F>(
        &self,
        maps: &[Tensor<B, 4>],
        truth: &BatchTargets<'_, F>,
    ) -> (ProposalLosses<B>, Vec<Vec<Bounds>>) {
        let BatchTargets {
            objects,
            sizes,
            seed,
            ..
        } = *truth;
        let levels = self.proposals.forward(maps);
        // The device has all to do that is to be waited for, while the host assigns anchors to objects.
        let limits = ProposalLimits::TRAINING;
        let candidates = self.proposals.candidates(levels.clone(), sizes, limits);
        let losses = self.proposals.losses(&levels, objects, sizes, seed);
        let bounds =
            |found: Vec<DetectedObject>| found.iter().map(|object| object.bounds).collect();
        (losses, candidates.read().into_iter().map(bounds).collect())
    }

    /// Returns the losses of a stage, and replaces the `candidates` of every image by those of the next stage.
    fn stage_losses(
        &self,
        index: usize,
        maps: &[Tensor<B, 4>],
        candidates: &mut Vec<Vec<Bounds>>,
        truth: &BatchTargets<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
    ) -> StageLosses<B> {
        let BatchTargets {
            objects,
            sizes,
            seed,
            ..
        } = *truth;
        let (head, stage) = (&self.boxes[index], &self.config.stages[index]);
        let matcher = Matcher {
            object: stage.iou,
            background: stage.iou,
            best_from: None,
        };
        // Another draw for every stage, and none of them the proposals' own.
        let draw = seed.wrapping_add(1 + index as u64);
        let images = candidates.iter().zip(objects).enumerate();
        let chosen: Vec<Region> = images
            .flat_map(|(image, (bounds, objects))| {
                choose(image, bounds, objects, matcher, SAMPLER, draw)
            })
            .collect();
        let (chosen, regions) = self.arrange(chosen);
        let coder = BoxCoder {
            deviations: stage.deviations,
        };
        let pooled = self.pooler(SIDES[0]).pool(maps, &regions);
        let outputs = head.forward(pooled, Phase::Training { seed });
        let masks = self
            .masks
            .get(index)
            .map(|head| self.mask_loss(head, maps, &chosen, objects, &truth.mask));
        if index + 1 < self.config.stages.len() {
            *candidates = moved(&outputs, &chosen, objects, sizes, coder);
        }
        let target = |region: &Region| BoxTarget {
            region: region.bounds,
            object: region.object.map(|object| {
                let objects = &objects[region.image];
                (objects.classes[object], objects.bounds[object])
            }),
        };
        let targets: Vec<BoxTarget> = chosen.iter().map(target).collect();
        let losses = head.losses(outputs, &targets, self.config.box_loss, coder);
        StageLosses {
            classes: losses.classes,
            boxes: losses.boxes,
            masks,
        }
    }

    /// Sorts regions by their levels.
    fn arrange(&self, regions: Vec<Region>) -> (Vec<Region>, Regions) {
        let pooler = self.pooler(SIDES[0]);
        let bounds: Vec<Bounds> = regions.iter().map(|region| region.bounds).collect();
        let order = pooler.order(&bounds);
        let regions: Vec<Region> = order.into_iter().map(|index| regions[index]).collect();
        let rois = pooler.regions(regions.iter().map(roi).collect());
        (regions, rois)
    }

    fn mask_loss(
        &self,
        head: &MaskHead<B>,
        maps: &[Tensor<B, 4>],
        chosen: &[Region],
        objects: &[Objects],
        mask: &impl Fn(usize, usize, Bounds) -> Vec<bool>,
    ) -> Tensor<B, 1> {
        let with_object = chosen
            .iter()
            .filter_map(|region| Some((region, region.object?)));
        let (mut rois, mut classes, mut masks) = (Vec::new(), Vec::new(), Vec::new());
        for (region, object) in with_object {
            rois.push(roi(region));
            classes.push(objects[region.image].classes[object]);
            masks.extend(mask(region.image, object, region.bounds));
        }
        if classes.is_empty() {
            return Tensor::zeros([1], &maps[0].device());
        }
        let pooler = self.pooler(SIDES[1]);
        let pooled = pooler.pool(maps, &pooler.regions(rois));
        head.loss(head.forward(pooled), &classes, &masks)
    }
}

pub(super) fn roi(region: &Region) -> Roi {
    Roi {
        image: region.image,
        bounds: region.bounds,
    }
}

/// Returns the refined regions of every image, which the next stage is trained on. The true boxes are not
/// included, since the next stage adds them itself.
fn moved<B: KernelBackend>(
    outputs: &BoxOutputs<B>,
    chosen: &[Region],
    objects: &[Objects],
    sizes: &[[usize; 2]],
    coder: BoxCoder,
) -> Vec<Vec<Bounds>> {
    let offsets: Vec<f32> = read(outputs.offsets.clone()).iter::<f32>().collect();
    let columns = outputs.offsets.dims()[1];
    let mut moved = vec![Vec::new(); sizes.len()];
    for (region, offsets) in chosen.iter().zip(offsets.chunks_exact(columns)) {
        let is_object = objects[region.image].bounds.contains(&region.bounds);
        if let (Some(offsets), false) = (offsets.first_chunk::<4>(), is_object) {
            let bounds = clip(coder.decode(*offsets, region.bounds), sizes[region.image]);
            moved[region.image].push(bounds);
        }
    }
    moved
}
