//! Outputs on anchors: the common part of RetinaNet and region proposal networks.

use burn::tensor::{Int, Tensor, TensorData};
use gradway_kernels::{BACKGROUND, KernelBackend, NOT_COUNTED, clamp_min, read, top_k};

use super::anchors::AnchorGenerator;
use super::bounds::Bounds;
use super::coder::BoxCoder;
use super::matcher::{Match, Matcher};
use super::objects::{DetectedObject, Objects};
use super::sampler::Sampler;

/// The outputs of a level of a pyramid.
#[derive(Debug, Clone)]
pub struct Level<B: KernelBackend> {
    /// `[batch * anchors, classes, positions]`
    pub logits: Tensor<B, 3>,
    /// Offsets of the anchors of all positions, `[batch * anchors * positions, 4]`.
    pub offsets: Tensor<B, 2>,
    /// Height and width of the map.
    pub size: [usize; 2],
}

impl<B: KernelBackend> Level<B> {
    /// Creates a level from maps with `anchors` groups of channels.
    ///
    /// # Shapes
    ///
    /// - `logits`: `[batch, anchors * classes, height, width]`
    /// - `offsets`: `[batch, anchors * 4, height, width]`
    pub fn new(logits: Tensor<B, 4>, offsets: Tensor<B, 4>, anchors: usize) -> Self {
        let [batch, channels, height, width] = logits.dims();
        let (outer, positions) = (batch * anchors, height * width);
        let offsets = offsets.reshape([outer, 4, positions]).swap_dims(1, 2);
        Self {
            logits: logits.reshape([outer, channels / anchors, positions]),
            offsets: offsets.reshape([outer * positions, 4]),
            size: [height, width],
        }
    }

    /// Returns the candidates with the highest scores of every image, at most `count`, in descending order.
    /// Nothing is read from the device, and the result has no gradient.
    pub(super) fn best(
        self,
        index: usize,
        generator: &AnchorGenerator,
        sizes: &[[usize; 2]],
        count: usize,
    ) -> Candidates<B> {
        let device = self.logits.device();
        let (images, anchors) = (sizes.len(), generator.per_position());
        let [_, classes, positions] = self.logits.dims();
        let ([_, width], stride) = (self.size, generator.strides[index]);
        let logits = self.logits.detach();
        let mut logits = logits.reshape([images, anchors * classes, positions]);
        if let Some(outside) = generator.outside(index, self.size, sizes) {
            let outside = TensorData::new(outside, [images, 1, positions]);
            logits = logits + Tensor::from_data(outside, &device);
        }
        let columns = anchors * classes * positions;
        let count = count.min(columns);
        let (logits, places) = top_k(logits.reshape([images, columns]), count);
        // Of a place in `[anchors, classes, positions]`: anchor, class and position.
        let places = places.reshape([images * count]);
        let position = places.clone().remainder_scalar(positions as i32);
        let group = places.div_scalar(positions as i32);
        let class = group.clone().remainder_scalar(classes as i32);
        let anchor = group.div_scalar(classes as i32);
        let firsts =
            (0..images).flat_map(|image| vec![(image * anchors * positions) as i32; count]);
        let firsts = TensorData::new(firsts.collect::<Vec<i32>>(), [images * count]);
        let rows = anchor.clone() * positions as i32 + position.clone();
        let rows = rows + Tensor::<B, 1, Int>::from_data(firsts, &device);
        let offsets = self.offsets.detach().select(0, rows);
        let x = position.clone().remainder_scalar(width as i32);
        let y = position.div_scalar(width as i32);
        let centres = Tensor::<B, 1, Int>::stack::<2>(vec![x, y], 1).float() * stride;
        let sides = generator.sides(index).into_flattened();
        let sides = Tensor::<B, 2>::from_data(TensorData::new(sides, [anchors, 2]), &device);
        let bounds = BoxCoder::PLAIN.decode_about(offsets, centres, sides.select(0, anchor));
        let bounds = clamp_min(bounds.reshape([images, count, 4]), 0.0);
        let limits = sizes
            .iter()
            .flat_map(|[height, width]| [*width, *height, *width, *height]);
        let limits: Vec<f32> = limits.map(|limit| limit as f32).collect();
        let limits = Tensor::<B, 3>::from_data(TensorData::new(limits, [images, 1, 4]), &device);
        Candidates {
            bounds: bounds.min_pair(limits.expand([images, count, 4])),
            logits,
            classes: class.reshape([images, count]),
        }
    }
}

/// Candidate objects of every image of a level, in descending order of score.
#[derive(Debug, Clone)]
pub(super) struct Candidates<B: KernelBackend> {
    /// Boxes, clipped to the images, `[images, candidates, 4]`.
    pub(super) bounds: Tensor<B, 3>,
    /// `[images, candidates]`; negative infinity where there is no candidate.
    pub(super) logits: Tensor<B, 2>,
    /// `[images, candidates]`
    pub(super) classes: Tensor<B, 2, Int>,
}

impl<B: KernelBackend> Candidates<B> {
    /// Concatenates box, logit and one more number of every candidate, `[images, candidates, 6]`, to read them
    /// at once.
    pub(super) fn with(self, number: Tensor<B, 2>) -> Tensor<B, 3> {
        let columns = vec![
            self.bounds,
            self.logits.unsqueeze_dim(2),
            number.unsqueeze_dim(2),
        ];
        Tensor::cat(columns, 2)
    }
}

/// Reads the result of [`with`](Candidates::with) from the device: for every image the objects whose logit is
/// above `least`, each with its number.
pub(super) fn found<B: KernelBackend>(
    levels: Vec<Tensor<B, 3>>,
    least: f32,
) -> Vec<Vec<(DetectedObject, f32)>> {
    let candidates = Tensor::cat(levels, 1);
    let [images, count, width] = candidates.dims();
    let numbers: Vec<f32> = read(candidates).iter::<f32>().collect();
    let object = |row: &[f32]| {
        let [left, top, right, bottom, logit, number] = row.try_into().ok()?;
        let object = DetectedObject {
            bounds: [left, top, right, bottom],
            class: 0,
            score: 1.0 / (1.0 + f32::exp(-logit)),
        };
        (logit > least).then_some((object, number))
    };
    (0..images)
        .map(|image| {
            let rows = numbers[image * count * width..][..count * width].chunks_exact(width);
            rows.filter_map(object).collect()
        })
        .collect()
}

/// The assignment of targets to anchors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assignment {
    pub(super) matcher: Matcher,
    /// Sampling of the anchors; `None` uses all that are matched with an object or background.
    pub(super) sampling: Option<(Sampler, u64)>,
}

/// The targets of a batch.
pub(super) struct Targets {
    /// Labels by level, `[batch * anchors, positions]`.
    labels: Vec<Vec<i32>>,
    /// By level, the rows of the offsets whose anchors have an object.
    rows: Vec<Vec<i32>>,
    /// The anchors of all of these rows, level after level.
    pub(super) anchors: Vec<Bounds>,
    /// The objects' boxes for all of these rows.
    pub(super) wanted: Vec<Bounds>,
    /// Number of anchors that count in the loss.
    pub(super) counted: usize,
}

impl Targets {
    pub(super) fn new(
        generator: &AnchorGenerator,
        assignment: Assignment,
        maps: &[[usize; 2]],
        objects: &[Objects],
        sizes: &[[usize; 2]],
    ) -> Self {
        let by_level: Vec<Vec<Bounds>> = (0..maps.len())
            .map(|level| generator.level(level, maps[level]))
            .collect();
        let found: Vec<Vec<Match>> = objects
            .iter()
            .zip(sizes)
            .enumerate()
            .map(|(image, (objects, size))| {
                let found = assignment.matches(generator, &by_level, maps, objects, *size);
                assignment.sampled(found, image)
            })
            .collect();
        let per_position = generator.per_position();
        let mut targets = Self {
            labels: Vec::new(),
            rows: Vec::new(),
            anchors: Vec::new(),
            wanted: Vec::new(),
            counted: 0,
        };
        let mut first = 0;
        for anchors in &by_level {
            let positions = anchors.len() / per_position;
            let mut labels = vec![NOT_COUNTED; objects.len() * anchors.len()];
            let mut rows = Vec::new();
            for (image, objects) in objects.iter().enumerate() {
                let found = &found[image][first..first + anchors.len()];
                for (index, (found, anchor)) in found.iter().zip(anchors).enumerate() {
                    let (position, of_position) = (index / per_position, index % per_position);
                    let row = (image * per_position + of_position) * positions + position;
                    labels[row] = match found {
                        Match::Background => BACKGROUND,
                        Match::Between => continue,
                        Match::Object(object) => {
                            rows.push(row as i32);
                            targets.anchors.push(*anchor);
                            targets.wanted.push(objects.bounds[*object]);
                            objects.classes[*object] as i32
                        }
                    };
                    targets.counted += 1;
                }
            }
            targets.labels.push(labels);
            targets.rows.push(rows);
            first += anchors.len();
        }
        targets
    }

    /// Returns the sum over the levels of a loss of logits and labels, `[1]`.
    pub(super) fn class_loss<B: KernelBackend>(
        &self,
        levels: &[Level<B>],
        loss: impl Fn(Tensor<B, 3>, Tensor<B, 2, Int>) -> Tensor<B, 1>,
    ) -> Tensor<B, 1> {
        let terms = levels.iter().zip(&self.labels).map(|(level, labels)| {
            let [outer, _, positions] = level.logits.dims();
            let labels = TensorData::new(labels.clone(), [outer, positions]);
            let labels = Tensor::from_data(labels, &level.logits.device());
            loss(level.logits.clone(), labels)
        });
        let Some(sum) = terms.reduce(|sum, term| sum + term) else {
            unreachable!("a pyramid has levels")
        };
        sum
    }

    /// Returns the offsets of the anchors with an object, `[anchors with an object, 4]`; `None` if there are none.
    pub(super) fn offsets<B: KernelBackend>(&self, levels: &[Level<B>]) -> Option<Tensor<B, 2>> {
        let levels = levels.iter().zip(&self.rows);
        let chosen = levels.filter(|(_, rows)| !rows.is_empty());
        let chosen: Vec<_> = chosen
            .map(|(level, rows)| {
                let rows = TensorData::new(rows.clone(), [rows.len()]);
                let rows = Tensor::from_data(rows, &level.offsets.device());
                level.offsets.clone().select(0, rows)
            })
            .collect();
        (!chosen.is_empty()).then(|| Tensor::cat(chosen, 0))
    }
}

impl Assignment {
    /// Returns a match for every anchor of all levels; anchors outside the image are ignored ([`Match::Between`]).
    fn matches(
        &self,
        generator: &AnchorGenerator,
        by_level: &[Vec<Bounds>],
        maps: &[[usize; 2]],
        objects: &Objects,
        size: [usize; 2],
    ) -> Vec<Match> {
        let levels = by_level.iter().enumerate();
        let (is_inside, anchors): (Vec<bool>, Vec<Bounds>) = levels
            .flat_map(|(level, anchors)| {
                let anchors = anchors.iter().enumerate();
                anchors.map(move |(index, anchor)| {
                    let is_inside = generator.is_inside(level, maps[level], index, size);
                    // Of no area: it overlaps nothing.
                    (is_inside, if is_inside { *anchor } else { [0.0; 4] })
                })
            })
            .unzip();
        let found = self.matcher.matches(&anchors, &objects.bounds);
        let inside = found.into_iter().zip(is_inside);
        inside
            .map(|(found, is_inside)| if is_inside { found } else { Match::Between })
            .collect()
    }

    /// Returns the matches of the sampled anchors; the others are ignored ([`Match::Between`]).
    fn sampled(&self, found: Vec<Match>, image: usize) -> Vec<Match> {
        let Some((sampler, seed)) = self.sampling else {
            return found;
        };
        let sample = sampler.sample(&found, seed, image as u64);
        let mut sampled = vec![Match::Between; found.len()];
        for index in sample.objects.into_iter().chain(sample.background) {
            sampled[index] = found[index];
        }
        sampled
    }
}
