//! RetinaNet (Lin et al. 2017, arXiv 1708.02002): dense detection with the focal loss.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use gradway_kernels::{Activation, BACKGROUND, FocalLoss, KernelBackend, NOT_COUNTED, focal_loss};
use serde::{Deserialize, Serialize};

use super::anchors::AnchorGenerator;
use super::bounds::{Bounds, clip};
use super::coder::BoxCoder;
use super::losses::{giou_loss, smooth_l1};
use super::matcher::{Match, Matcher};
use super::nms::nms_by_class;
use super::objects::{Detected, Objects};
use super::pyramid::{ExtraLevels, FeaturePyramid};
use crate::convolution::Convolution;

/// Share of anchors that an untrained network takes for an object.
const PRIOR: f64 = 0.01;
/// The stage that the pyramid begins with, of stride 8.
const FIRST_STAGE: usize = 1;

/// Configuration of a [`RetinaNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetinaNetConfig {
    /// Width of the pyramid and of the towers.
    pub channels: usize,
    /// Convolutions of either tower.
    pub convolutions: usize,
    /// Loss of the boxes.
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

/// Loss of boxes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BoxLoss {
    /// Absolute differences of the offsets, as mmdetection's default.
    #[default]
    L1,
    /// Smooth L1 of the offsets.
    SmoothL1 {
        /// Where it becomes linear.
        beta: f32,
    },
    /// Generalised IoU of the boxes.
    Giou,
}

/// What of the outputs becomes a detection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectionLimits {
    /// Least score.
    pub score: f32,
    /// Most candidates of a level.
    pub per_level: usize,
    /// IoU from which on the better of two of a class suppresses the other.
    pub overlap: f32,
    /// Most detections of an image.
    pub per_image: usize,
}

impl Default for DetectionLimits {
    fn default() -> Self {
        Self {
            score: 0.05,
            per_level: 1000,
            overlap: 0.5,
            per_image: 100,
        }
    }
}

/// Pyramid, two towers of convolutions that all levels share, and their outputs.
#[derive(Module, Debug)]
pub struct RetinaNet<B: Backend> {
    /// Strides 8 to 128.
    pub pyramid: FeaturePyramid<B>,
    /// Before the classes.
    pub class_tower: Vec<Convolution<B>>,
    /// Before the boxes.
    pub box_tower: Vec<Convolution<B>>,
    /// `[anchors * classes, channels, 3, 3]`
    pub class_output: Convolution<B>,
    /// `[anchors * 4, channels, 3, 3]`
    pub box_output: Convolution<B>,
    classes: usize,
}

/// The two losses, before their weights.
#[derive(Debug, Clone)]
pub struct RetinaNetLosses<B: KernelBackend> {
    /// Focal loss of the classes over the number of anchors for an object.
    pub classes: Tensor<B, 1>,
    /// Loss of the boxes over the same number.
    pub boxes: Tensor<B, 1>,
}

/// The outputs of a level.
struct Level<B: KernelBackend> {
    /// `[batch * anchors, classes, positions]`
    logits: Tensor<B, 3>,
    /// `[batch * anchors * positions, 4]`
    offsets: Tensor<B, 2>,
    size: [usize; 2],
}

impl RetinaNetConfig {
    /// A detector for features of these widths.
    pub fn init<B: Backend>(
        &self,
        inputs: &[usize],
        classes: usize,
        device: &B::Device,
    ) -> RetinaNet<B> {
        let channels = self.channels;
        let extra = ExtraLevels::Convolved(2);
        let pyramid = FeaturePyramid::new(inputs, FIRST_STAGE, channels, extra, device);
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
        }
    }
}

impl<B: KernelBackend> RetinaNet<B> {
    fn anchors(&self) -> AnchorGenerator {
        AnchorGenerator::retinanet(&self.pyramid.strides())
    }

    fn levels(&self, features: &[Tensor<B, 4>]) -> Vec<Level<B>> {
        let anchors = self.anchors().per_position();
        let maps = self.pyramid.forward(features).into_iter();
        maps.map(|map| {
            let [batch, _, height, width] = map.dims();
            let positions = height * width;
            let tower = |tower: &[Convolution<B>], output: &Convolution<B>| {
                let relu =
                    |x, convolution: &Convolution<B>| convolution.forward(x, 1, Activation::Relu);
                let x = tower.iter().fold(map.clone(), relu);
                output.forward(x, 1, Activation::Identity)
            };
            let logits = tower(&self.class_tower, &self.class_output);
            let offsets = tower(&self.box_tower, &self.box_output);
            let offsets = offsets.reshape([batch * anchors, 4, positions]);
            Level {
                logits: logits.reshape([batch * anchors, self.classes, positions]),
                offsets: offsets
                    .swap_dims(1, 2)
                    .reshape([batch * anchors * positions, 4]),
                size: [height, width],
            }
        })
        .collect()
    }

    /// The losses of a batch.
    ///
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    /// - `objects`, `sizes`: `[batch]`; sizes are `[height, width]` of the images without padding
    pub fn losses(
        &self,
        features: &[Tensor<B, 4>],
        objects: &[Objects],
        sizes: &[[usize; 2]],
        box_loss: BoxLoss,
    ) -> RetinaNetLosses<B> {
        let levels = self.levels(features);
        let device = features[0].device();
        let generator = self.anchors();
        let maps: Vec<[usize; 2]> = levels.iter().map(|level| level.size).collect();
        let targets = Targets::new(&generator, &maps, objects, sizes);
        let count = targets.wanted.len().max(1) as f32;
        let options = FocalLoss {
            alpha: 0.25,
            gamma: 2.0,
        };
        let mut classes = Tensor::<B, 1>::zeros([1], &device);
        let mut offsets = Vec::new();
        for (level, (labels, rows)) in levels
            .into_iter()
            .zip(targets.labels.iter().zip(targets.rows))
        {
            let [outer, _, positions] = level.logits.dims();
            let labels = TensorData::new(labels.clone(), [outer, positions]);
            let labels = Tensor::<B, 2, Int>::from_data(labels, &device);
            classes = classes + focal_loss(level.logits, labels, options);
            if !rows.is_empty() {
                let count = rows.len();
                let rows = Tensor::from_data(TensorData::new(rows, [count]), &device);
                offsets.push(level.offsets.select(0, rows));
            }
        }
        let boxes = if offsets.is_empty() {
            Tensor::zeros([1], &device)
        } else {
            let offsets = Tensor::cat(offsets, 0);
            let wanted = |rows: Vec<[f32; 4]>| {
                let count = rows.len();
                let rows = TensorData::new(rows.into_flattened(), [count, 4]);
                Tensor::<B, 2>::from_data(rows, &device)
            };
            let encoded =
                |bounds: &Bounds, anchor: &Bounds| BoxCoder::PLAIN.encode(*bounds, *anchor);
            let pairs = targets.wanted.iter().zip(&targets.anchors);
            match box_loss {
                BoxLoss::Giou => {
                    let decoded = BoxCoder::PLAIN.decode_each(offsets, &targets.anchors);
                    giou_loss(decoded, wanted(targets.wanted.clone()))
                }
                BoxLoss::L1 => {
                    let encoded = pairs.map(|(bounds, anchor)| encoded(bounds, anchor));
                    smooth_l1(offsets, wanted(encoded.collect()), 0.0)
                }
                BoxLoss::SmoothL1 { beta } => {
                    let encoded = pairs.map(|(bounds, anchor)| encoded(bounds, anchor));
                    smooth_l1(offsets, wanted(encoded.collect()), beta)
                }
            }
        };
        RetinaNetLosses {
            classes: classes / count,
            boxes: boxes / count,
        }
    }

    /// The objects of every image, the surest first.
    ///
    /// # Shapes
    ///
    /// As of [`losses`](Self::losses).
    pub fn detect(
        &self,
        features: &[Tensor<B, 4>],
        sizes: &[[usize; 2]],
        limits: DetectionLimits,
    ) -> Vec<Vec<Detected>> {
        let generator = self.anchors();
        let anchors = generator.per_position();
        // The logit of the least score.
        let least = (limits.score / (1.0 - limits.score)).ln();
        let mut found = vec![Vec::new(); sizes.len()];
        for (index, level) in self.levels(features).into_iter().enumerate() {
            let positions = level.size[0] * level.size[1];
            let references = generator.level(index, level.size);
            let logits: Vec<f32> = level.logits.into_data().iter::<f32>().collect();
            let offsets: Vec<f32> = level.offsets.into_data().iter::<f32>().collect();
            let (offsets, _) = offsets.as_chunks::<4>();
            let image_logits = logits.chunks_exact(anchors * self.classes * positions);
            let image_offsets = offsets.chunks_exact(anchors * positions);
            let images = image_logits.zip(image_offsets).zip(sizes).zip(&mut found);
            for (((logits, offsets), size), found) in images {
                // Of `[anchors, classes, positions]`: its position's anchor, and its class.
                let of = |place: usize| {
                    let (anchor, class) = (place / positions / self.classes, place / positions);
                    (place % positions * anchors + anchor, class % self.classes)
                };
                let is_inside = |place| generator.is_inside(index, level.size, of(place).0, *size);
                let mut candidates: Vec<(f32, usize)> = logits
                    .iter()
                    .copied()
                    .zip(0..)
                    .filter(|(logit, place)| *logit > least && is_inside(*place))
                    .collect();
                candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                candidates.truncate(limits.per_level);
                found.extend(candidates.into_iter().map(|(logit, place)| {
                    let (reference, class) = of(place);
                    let row = reference % anchors * positions + reference / anchors;
                    let bounds = BoxCoder::PLAIN.decode(offsets[row], references[reference]);
                    Detected {
                        bounds: clip(bounds, *size),
                        class,
                        score: 1.0 / (1.0 + (-logit).exp()),
                    }
                }));
            }
        }
        found
            .into_iter()
            .map(|found| suppressed(found, limits))
            .collect()
    }
}

/// The best of what was found, without what is found twice.
fn suppressed(found: Vec<Detected>, limits: DetectionLimits) -> Vec<Detected> {
    let bounds: Vec<Bounds> = found.iter().map(|object| object.bounds).collect();
    let scores: Vec<f32> = found.iter().map(|object| object.score).collect();
    let classes: Vec<usize> = found.iter().map(|object| object.class).collect();
    let kept = nms_by_class(&bounds, &scores, &classes, limits.overlap);
    let kept = kept.into_iter().take(limits.per_image);
    kept.map(|index| found[index]).collect()
}

/// What the outputs of a batch should be.
struct Targets {
    /// By level, `[batch * anchors, positions]`.
    labels: Vec<Vec<i32>>,
    /// By level, the rows of the offsets that are for an object.
    rows: Vec<Vec<i32>>,
    /// The anchors of all of these rows, level after level, and the objects' bounds.
    anchors: Vec<Bounds>,
    wanted: Vec<Bounds>,
}

impl Targets {
    fn new(
        generator: &AnchorGenerator,
        maps: &[[usize; 2]],
        objects: &[Objects],
        sizes: &[[usize; 2]],
    ) -> Self {
        // "IoU 0.5 and above an object, below 0.4 background", and no object without an anchor.
        let matcher = Matcher {
            object: 0.5,
            background: 0.4,
            best_from: Some(0.0),
        };
        let by_level: Vec<Vec<Bounds>> = (0..maps.len())
            .map(|level| generator.level(level, maps[level]))
            .collect();
        let found: Vec<Vec<Match>> = objects
            .iter()
            .zip(sizes)
            .map(|(objects, size)| {
                // Where the image ends, anchors are of no area and overlap nothing.
                let levels = by_level.iter().enumerate();
                let inside = levels.flat_map(|(level, anchors)| {
                    let anchors = anchors.iter().enumerate();
                    anchors.map(move |(index, anchor)| {
                        let is_inside = generator.is_inside(level, maps[level], index, *size);
                        if is_inside { *anchor } else { [0.0; 4] }
                    })
                });
                matcher.matches(&inside.collect::<Vec<Bounds>>(), &objects.bounds)
            })
            .collect();
        let per_position = generator.per_position();
        let mut targets = Self {
            labels: Vec::new(),
            rows: Vec::new(),
            anchors: Vec::new(),
            wanted: Vec::new(),
        };
        let mut first = 0;
        for (level, anchors) in by_level.iter().enumerate() {
            let positions = anchors.len() / per_position;
            let mut labels = vec![NOT_COUNTED; objects.len() * anchors.len()];
            let mut rows = Vec::new();
            for (image, (objects, size)) in objects.iter().zip(sizes).enumerate() {
                let found = &found[image][first..first + anchors.len()];
                for (index, (found, anchor)) in found.iter().zip(anchors).enumerate() {
                    if !generator.is_inside(level, maps[level], index, *size) {
                        continue;
                    }
                    let (position, of_position) = (index / per_position, index % per_position);
                    let row = (image * per_position + of_position) * positions + position;
                    labels[row] = match found {
                        Match::Background => BACKGROUND,
                        Match::Between => NOT_COUNTED,
                        Match::Object(object) => {
                            rows.push(row as i32);
                            targets.anchors.push(*anchor);
                            targets.wanted.push(objects.bounds[*object]);
                            objects.classes[*object] as i32
                        }
                    };
                }
            }
            targets.labels.push(labels);
            targets.rows.push(rows);
            first += anchors.len();
        }
        targets
    }
}
