//! Inference of an [`Rcnn`].

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use gradway_backbone::Phase;
use gradway_kernels::{KernelBackend, Roi, TrainBackend, read};

use super::network::{Rcnn, SIDES, roi};
use crate::detection::bounds::{Bounds, clip, is_larger};
use crate::detection::coder::BoxCoder;
use crate::detection::mask_head::MASK;
use crate::detection::nms::suppressed;
use crate::detection::objects::{BatchTargets, DetectedObject, DetectionLimits, SegmentedObject};
use crate::detection::proposals::ProposalLimits;
use crate::detection::regions::Region;
use crate::detection::settings::DetectorNetwork;

impl<B: KernelBackend> Rcnn<B> {
    /// Returns the objects of every image, in descending order of score.
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
    ) -> Vec<Vec<SegmentedObject>> {
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
        let mut found: Vec<Vec<DetectedObject>> = vec![Vec::new(); sizes.len()];
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
                        let object = DetectedObject {
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

    /// Adds masks to the objects of an image: the mean of the masks of all stages.
    fn with_masks(
        &self,
        maps: &[Tensor<B, 4>],
        image: usize,
        found: Vec<DetectedObject>,
    ) -> Vec<SegmentedObject> {
        if self.masks.is_empty() || found.is_empty() {
            let without = |object| SegmentedObject { object, mask: None };
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
            .map(|(object, mask)| SegmentedObject { object, mask })
            .collect()
    }
}

impl<B: KernelBackend> DetectorNetwork<B> for Rcnn<B> {
    fn batch_loss(
        &self,
        features: &[Tensor<B, 4>],
        truth: &BatchTargets<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
    ) -> Tensor<B, 1>
    where
        B: TrainBackend,
    {
        self.loss(features, truth)
    }

    fn find(
        &self,
        features: &[Tensor<B, 4>],
        sizes: &[[usize; 2]],
        limits: DetectionLimits,
    ) -> Vec<Vec<SegmentedObject>> {
        self.detect(features, sizes, limits)
    }
}
