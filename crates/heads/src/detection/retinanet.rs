//! RetinaNet (Lin et al. 2017, arXiv 1708.02002): dense detection with the focal loss.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{Activation, FocalLoss, KernelBackend, TrainBackend, focal_loss};
use serde::{Deserialize, Serialize};

use super::anchors::AnchorGenerator;
use super::bounds::Bounds;
use super::coder::BoxCoder;
use super::dense::{Assignment, Level, Targets, found};
use super::losses::BoxLoss;
use super::matcher::Matcher;
use super::nms::suppressed;
use super::objects::{BatchTargets, DetectedObject, DetectionLimits, Objects, SegmentedObject};
use super::pyramid::{ExtraLevels, FeaturePyramid, require_pyramid};
use super::settings::{DetectorNetwork, DetectorSettings};
use crate::convolution::Convolution;
use crate::head::{HeadDescriptor, HeadTask, in_range, positive};
use crate::maps::MapShape;
use crate::neck::NeckConfig;
use crate::neck::simple_pyramid::SimplePyramidConfig;

/// Prior probability of an object at an anchor in an untrained network.
const PRIOR: f64 = 0.01;
/// The published constants of the focal loss.
const FOCUS: FocalLoss = FocalLoss {
    alpha: 0.25,
    gamma: 2.0,
};
/// First map of the pyramid, with stride 8 if the finest has stride 4.
const FIRST_MAP: usize = 1;

/// Configuration of a [`RetinaNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetinaNetConfig {
    /// Number of channels of the pyramid and the towers.
    pub channels: usize,
    /// Number of convolutions of each tower.
    pub convolutions: usize,
    /// The box loss.
    pub box_loss: BoxLoss,
    /// Weight of the box loss.
    pub box_weight: f64,
}

impl Default for RetinaNetConfig {
    fn default() -> Self {
        Self {
            channels: 256,
            convolutions: 4,
            box_loss: BoxLoss::default(),
            box_weight: 1.0,
        }
    }
}

/// A feature pyramid, and two towers of convolutions with outputs, shared by all levels.
#[derive(Module, Debug)]
pub struct RetinaNet<B: Backend> {
    /// Pyramid on all maps but the finest, with two coarser levels.
    pub pyramid: FeaturePyramid<B>,
    /// Convolutions before the class output.
    pub class_tower: Vec<Convolution<B>>,
    /// Convolutions before the box output.
    pub box_tower: Vec<Convolution<B>>,
    /// `[anchors * classes, channels, 3, 3]`
    pub class_output: Convolution<B>,
    /// `[anchors * 4, channels, 3, 3]`
    pub box_output: Convolution<B>,
    classes: usize,
    #[module(skip)]
    config: RetinaNetConfig,
}

/// The two losses, without their weights.
#[derive(Debug, Clone)]
pub struct RetinaNetLosses<B: KernelBackend> {
    /// Focal loss of the classes, divided by the number of anchors with an object.
    pub classes: Tensor<B, 1>,
    /// Box loss, divided by the same number.
    pub boxes: Tensor<B, 1>,
}

impl<B: KernelBackend> RetinaNetLosses<B> {
    /// Returns the weighted sum of both losses, `[1]`.
    pub fn total(self, config: &RetinaNetConfig) -> Tensor<B, 1> {
        self.classes + self.boxes * config.box_weight
    }
}

impl RetinaNetConfig {
    pub(crate) const DESCRIPTOR: HeadDescriptor = HeadDescriptor {
        name: "retinanet",
        task: HeadTask::Detection,
        summary: "one-stage detector: FPN and two towers on every position",
        source: "RetinaNet, arXiv 1708.02002",
    };

    /// Initialises the detector for maps of these shapes, the finest first.
    pub fn init<B: Backend>(
        &self,
        maps: &[MapShape],
        classes: usize,
        device: &B::Device,
    ) -> RetinaNet<B> {
        let channels = self.channels;
        let extra = ExtraLevels::Convolved(2);
        let pyramid = FeaturePyramid::new(maps, FIRST_MAP, channels, extra, device);
        let anchors = AnchorGenerator::retinanet(&pyramid.strides()).per_position();
        let tower = || {
            let convolution = |_| Convolution::normal([channels, channels, 3], 0.01, device);
            (0..self.convolutions).map(convolution).collect()
        };
        let prior = -((1.0 - PRIOR) / PRIOR).ln();
        let class_output = Convolution::normal([channels, anchors * classes, 3], 0.01, device);
        RetinaNet {
            class_tower: tower(),
            box_tower: tower(),
            class_output: class_output.with_bias(prior),
            box_output: Convolution::normal([channels, anchors * 4, 3], 0.01, device),
            pyramid,
            classes,
            config: self.clone(),
        }
    }
}

impl DetectorSettings for RetinaNetConfig {
    fn validate(&self, maps: &[MapShape]) -> Result<(), String> {
        in_range("channels", self.channels)?;
        in_range("convolutions", self.convolutions)?;
        positive("box_weight", self.box_weight)?;
        require_pyramid(Self::DESCRIPTOR.name, maps, self.channels)
    }

    fn neck(&self) -> NeckConfig {
        NeckConfig::SimplePyramid(SimplePyramidConfig {
            channels: self.channels,
            ..Default::default()
        })
    }

    fn waits_for_objects(&self) -> &'static [&'static str] {
        &["box_tower", "box_output"]
    }

    fn reads(&self, map: usize) -> bool {
        map >= FIRST_MAP
    }
}

impl<B: KernelBackend> DetectorNetwork<B> for RetinaNet<B> {
    fn batch_loss(
        &self,
        features: &[Tensor<B, 4>],
        truth: &BatchTargets<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
    ) -> Tensor<B, 1>
    where
        B: TrainBackend,
    {
        let levels = self.forward(features);
        let losses = self.losses(&levels, truth.objects, truth.sizes);
        losses.total(&self.config)
    }

    fn find(
        &self,
        features: &[Tensor<B, 4>],
        sizes: &[[usize; 2]],
        limits: DetectionLimits,
    ) -> Vec<Vec<SegmentedObject>> {
        let found = self.detect(self.forward(features), sizes, limits);
        let without = |object| SegmentedObject { object, mask: None };
        let images = found.into_iter();
        images
            .map(|found| found.into_iter().map(without).collect())
            .collect()
    }
}

impl<B: KernelBackend> RetinaNet<B> {
    /// Returns the configuration.
    pub fn config(&self) -> &RetinaNetConfig {
        &self.config
    }

    fn anchors(&self) -> AnchorGenerator {
        AnchorGenerator::retinanet(&self.pyramid.strides())
    }

    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    pub fn forward(&self, features: &[Tensor<B, 4>]) -> Vec<Level<B>> {
        let anchors = self.anchors().per_position();
        let level = |map: Tensor<B, 4>| {
            let run = |tower: &[Convolution<B>], output: &Convolution<B>| {
                let mut x = map.clone();
                for convolution in tower {
                    x = convolution.forward(x, 1, Activation::Relu);
                }
                output.forward(x, 1, Activation::Identity)
            };
            let logits = run(&self.class_tower, &self.class_output);
            let offsets = run(&self.box_tower, &self.box_output);
            Level::new(logits, offsets, anchors)
        };
        let maps = self.pyramid.forward(features);
        maps.into_iter().map(level).collect()
    }

    /// Returns the losses of a batch.
    ///
    /// # Shapes
    ///
    /// - `objects`, `sizes`: `[batch]`; sizes are `[height, width]` of the images without padding
    pub fn losses(
        &self,
        levels: &[Level<B>],
        objects: &[Objects],
        sizes: &[[usize; 2]],
    ) -> RetinaNetLosses<B> {
        let assignment = Assignment {
            matcher: Matcher {
                object: 0.5,
                background: 0.4,
                best_from: Some(0.0),
            },
            sampling: None,
        };
        let maps: Vec<[usize; 2]> = levels.iter().map(|level| level.size).collect();
        let targets = Targets::new(&self.anchors(), assignment, &maps, objects, sizes);
        let count = targets.wanted.len().max(1) as f32;
        let classes =
            targets.class_loss(levels, |logits, labels| focal_loss(logits, labels, FOCUS));
        let boxes = match targets.offsets(levels) {
            Some(offsets) => {
                let (wanted, anchors) = (&targets.wanted, &targets.anchors);
                self.config
                    .box_loss
                    .of(offsets, wanted, anchors, BoxCoder::PLAIN)
            }
            None => classes.zeros_like(),
        };
        RetinaNetLosses {
            classes: classes / count,
            boxes: boxes / count,
        }
    }

    /// Returns the objects of every image, in descending order of score; `sizes` as for [`losses`](Self::losses).
    pub fn detect(
        &self,
        levels: Vec<Level<B>>,
        sizes: &[[usize; 2]],
        limits: DetectionLimits,
    ) -> Vec<Vec<DetectedObject>> {
        let generator = self.anchors();
        // The logit of the least score.
        let least = (limits.score / (1.0 - limits.score)).ln();
        let level = |(index, level): (usize, Level<B>)| {
            let best = level.best(index, &generator, sizes, limits.per_level);
            let classes = best.classes.clone().float();
            best.with(classes)
        };
        let levels = levels.into_iter().enumerate().map(level).collect();
        let images = found(levels, least).into_iter().map(|found| {
            let object = |(object, class)| DetectedObject {
                class: class as usize,
                ..object
            };
            let found: Vec<DetectedObject> = found.into_iter().map(object).collect();
            suppressed(&found, limits.overlap, limits.per_image)
        });
        images.collect()
    }
}
