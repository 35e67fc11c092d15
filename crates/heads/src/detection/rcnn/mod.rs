//! Detectors of two steps and more: Faster R-CNN (Ren et al. 2015, arXiv 1506.01497), Mask R-CNN (He et
//! al. 2017, arXiv 1703.06870) and Cascade R-CNN with masks (Cai and Vasconcelos 2018, arXiv
//! 1906.09756).
//!
//! They differ in their stages alone: each takes regions, says what is in them, and moves them. A cascade
//! has three, every one trained on what the one before has moved.

mod config;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use gradway_backbone::Phase;
use gradway_kernels::{KernelBackend, Roi, TrainBackend, read};

use super::bounds::{Bounds, clip, is_larger};
use super::box_head::{BoxHead, BoxHeadConfig, BoxOutputs, BoxTarget};
use super::coder::BoxCoder;
use super::mask_head::{MASK, MaskHead};
use super::matcher::Matcher;
use super::nms::suppressed;
use super::objects::{Detected, DetectionLimits, Objects, Segmented, Truth};
use super::pooler::{Pooler, Regions};
use super::proposals::{ProposalLimits, ProposalLosses, ProposalNetwork};
use super::pyramid::{ExtraLevels, FeaturePyramid};
use super::regions::{Region, choose};
use super::sampler::Sampler;
use crate::staged::StagedLoss;

pub use config::{RcnnConfig, StageConfig};

/// Side of a region in front of a box head, and in front of a mask head.
const SIDES: [usize; 2] = [7, 14];
/// Levels that regions come from; the coarsest serves proposals alone.
const POOLED: usize = 4;
/// Regions of an image that a stage is trained on.
const SAMPLER: Sampler = Sampler {
    count: 512,
    objects: 0.25,
};

impl RcnnConfig {
    /// A detector for features of these widths.
    pub fn init<B: Backend>(
        &self,
        inputs: &[usize],
        classes: usize,
        device: &B::Device,
    ) -> Rcnn<B> {
        let channels = self.channels;
        let extra = ExtraLevels::Subsampled;
        let pyramid = FeaturePyramid::new(inputs, 0, channels, extra, device);
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

/// Pyramid, proposals, and a head or two for every stage.
#[derive(Module, Debug)]
pub struct Rcnn<B: Backend> {
    /// Strides 4 to 64.
    pub pyramid: FeaturePyramid<B>,
    /// On all of them.
    pub proposals: ProposalNetwork<B>,
    /// A box head for every stage.
    pub boxes: Vec<BoxHead<B>>,
    /// A mask head for every stage, or none.
    pub masks: Vec<MaskHead<B>>,
    #[module(skip)]
    config: RcnnConfig,
}

/// The losses of a batch, before the weights of the stages.
#[derive(Debug, Clone)]
pub struct RcnnLosses<B: KernelBackend> {
    /// Of the proposals.
    pub proposals: ProposalLosses<B>,
    /// Of the stages.
    pub stages: Vec<StageLosses<B>>,
}

/// The losses of a stage, before its weight.
#[derive(Debug, Clone)]
pub struct StageLosses<B: KernelBackend> {
    /// Mean cross entropy of the classes.
    pub classes: Tensor<B, 1>,
    /// Of the boxes.
    pub boxes: Tensor<B, 1>,
    /// Mean binary cross entropy of the masks, where there is a mask head.
    pub masks: Option<Tensor<B, 1>>,
}

impl<B: KernelBackend> RcnnLosses<B> {
    /// All of them with the weights of the boxes and of the stages, `[1]`.
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
    /// The [`total`](RcnnLosses::total) of the [`losses`](Self::losses), with the same gradients, of which
    /// one stage's graph is alive at a time: they are taken before the next stage begins.
    pub fn loss(
        &self,
        features: &[Tensor<B, 4>],
        truth: &Truth<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
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
    /// What it was made from.
    pub fn config(&self) -> &RcnnConfig {
        &self.config
    }

    fn pooler(&self, side: usize) -> Pooler {
        let mut strides = self.pyramid.strides();
        strides.truncate(POOLED);
        Pooler {
            strides,
            size: side,
        }
    }

    /// The losses of a batch.
    ///
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    pub fn losses(
        &self,
        features: &[Tensor<B, 4>],
        truth: &Truth<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
    ) -> RcnnLosses<B> {
        let maps = self.pyramid.forward(features);
        let (proposals, mut candidates) = self.proposal_losses(&maps, truth);
        let stages = (0..self.boxes.len())
            .map(|index| self.stage_losses(index, &maps, &mut candidates, truth))
            .collect();
        RcnnLosses { proposals, stages }
    }

    /// The losses of the proposals, and what is proposed in every image.
    fn proposal_losses<F>(
        &self,
        maps: &[Tensor<B, 4>],
        truth: &Truth<'_, F>,
    ) -> (ProposalLosses<B>, Vec<Vec<Bounds>>) {
        let Truth {
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
        let bounds = |found: Vec<Detected>| found.iter().map(|object| object.bounds).collect();
        (losses, candidates.read().into_iter().map(bounds).collect())
    }

    /// The losses of a stage; `candidates` of every image become what the next is trained on.
    fn stage_losses(
        &self,
        index: usize,
        maps: &[Tensor<B, 4>],
        candidates: &mut Vec<Vec<Bounds>>,
        truth: &Truth<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
    ) -> StageLosses<B> {
        let Truth {
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

    /// Regions in the order of their levels.
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

    /// The objects of every image, the surest first.
    ///
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    /// - `sizes`: `[batch]`, `[height, width]` of the images without padding
    pub fn detect(
        &self,
        features: &[Tensor<B, 4>],
        sizes: &[[usize; 2]],
        limits: DetectionLimits,
    ) -> Vec<Vec<Segmented>> {
        let config = &self.config;
        let maps = self.pyramid.forward(features);
        let levels = self.proposals.forward(&maps);
        let proposed = self
            .proposals
            .candidates(levels, sizes, ProposalLimits::INFERENCE);
        let images = proposed.read().into_iter().enumerate();
        let mut regions: Vec<Region> = images
            .flat_map(|(image, found)| {
                found.into_iter().map(move |object| Region {
                    image,
                    bounds: object.bounds,
                    object: None,
                })
            })
            .collect();
        // Of every class of every region, summed over the stages.
        let mut scores: Vec<f32> = Vec::new();
        let mut found: Vec<Vec<Detected>> = vec![Vec::new(); sizes.len()];
        if regions.is_empty() {
            return vec![Vec::new(); sizes.len()];
        }
        for (index, (head, stage)) in self.boxes.iter().zip(&config.stages).enumerate() {
            let coder = BoxCoder {
                deviations: stage.deviations,
            };
            let pooler = self.pooler(SIDES[0]);
            let bounds: Vec<Bounds> = regions.iter().map(|region| region.bounds).collect();
            let order = pooler.order(&bounds);
            let rois = order.iter().map(|index| roi(&regions[*index])).collect();
            let pooled = pooler.pool(&maps, &pooler.regions(rois));
            let outputs = head.forward(pooled, Phase::Inference);
            let width = outputs.logits.dims()[1];
            let columns = outputs.offsets.dims()[1] / 4;
            let stage_scores: Vec<f32> = read(softmax(outputs.logits, 1)).iter::<f32>().collect();
            let offsets: Vec<f32> = read(outputs.offsets).iter::<f32>().collect();
            let (offsets, _) = offsets.as_chunks::<4>();
            scores.resize(regions.len() * width, 0.0);
            let is_last = index + 1 == config.stages.len();
            let rows = stage_scores
                .chunks_exact(width)
                .zip(offsets.chunks_exact(columns));
            for (index, (row, offsets)) in order.into_iter().zip(rows) {
                let region = &mut regions[index];
                let size = sizes[region.image];
                let decode = |offsets| clip(coder.decode(offsets, region.bounds), size);
                let sums = &mut scores[index * width..][..width];
                for (sum, score) in sums.iter_mut().zip(row) {
                    *sum += score;
                }
                if !is_last {
                    region.bounds = decode(offsets[0]);
                    continue;
                }
                let classes = &sums[..width - 1];
                found[region.image].extend(classes.iter().enumerate().filter_map(
                    |(class, sum)| {
                        let score = sum / config.stages.len() as f32;
                        let bounds = decode(offsets[class.min(columns - 1)]);
                        let object = Detected {
                            bounds,
                            class,
                            score,
                        };
                        (score > limits.score && is_larger(bounds, 0.0)).then_some(object)
                    },
                ));
            }
        }
        let found = found.iter().enumerate().map(|(image, found)| {
            let best = suppressed(found, limits.overlap, limits.per_image);
            self.with_masks(&maps, image, best)
        });
        found.collect()
    }

    /// The objects of an image with their masks, the mean of the stages'.
    fn with_masks(
        &self,
        maps: &[Tensor<B, 4>],
        image: usize,
        found: Vec<Detected>,
    ) -> Vec<Segmented> {
        if self.masks.is_empty() || found.is_empty() {
            let without = |object| Segmented { object, mask: None };
            return found.into_iter().map(without).collect();
        }
        let pooler = self.pooler(SIDES[1]);
        let bounds: Vec<Bounds> = found.iter().map(|object| object.bounds).collect();
        let order = pooler.order(&bounds);
        let roi = |index: &usize| Roi {
            image,
            bounds: bounds[*index],
        };
        let regions = pooler.regions(order.iter().map(roi).collect());
        let classes: Vec<usize> = order.iter().map(|index| found[*index].class).collect();
        let pooled = pooler.pool(maps, &regions);
        let mut means = vec![0.0; classes.len() * MASK * MASK];
        for head in &self.masks {
            let masks = head.masks(head.forward(pooled.clone()), &classes);
            for (mean, value) in means.iter_mut().zip(masks) {
                *mean += value / self.masks.len() as f32;
            }
        }
        let mut masks: Vec<Option<Vec<f32>>> = vec![None; found.len()];
        for (index, mask) in order.into_iter().zip(means.chunks_exact(MASK * MASK)) {
            masks[index] = Some(mask.to_vec());
        }
        let pairs = found.into_iter().zip(masks);
        pairs
            .map(|(object, mask)| Segmented { object, mask })
            .collect()
    }
}

fn roi(region: &Region) -> Roi {
    Roi {
        image: region.image,
        bounds: region.bounds,
    }
}

/// The regions of every image as a stage moves them: what the next is trained on. The objects' own bounds,
/// which the next adds itself, are not among them.
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
