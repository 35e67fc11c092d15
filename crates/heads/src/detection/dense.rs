//! Outputs on anchors: what RetinaNet and a region proposal network have in common.

use burn::tensor::{Int, Tensor, TensorData};
use gradway_kernels::{BACKGROUND, KernelBackend, NOT_COUNTED};

use super::anchors::AnchorGenerator;
use super::bounds::{Bounds, clip};
use super::coder::BoxCoder;
use super::matcher::{Match, Matcher};
use super::objects::{Detected, Objects};
use super::sampler::Sampler;

/// The outputs of a level of a pyramid.
#[derive(Debug, Clone)]
pub struct Level<B: KernelBackend> {
    /// `[batch * anchors, classes, positions]`
    pub logits: Tensor<B, 3>,
    /// Of the anchors of all positions, `[batch * anchors * positions, 4]`.
    pub offsets: Tensor<B, 2>,
    /// Height and width of the map.
    pub size: [usize; 2],
}

impl<B: KernelBackend> Level<B> {
    /// Of maps with `anchors` groups of channels.
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

    /// The surest candidates of every image with a logit above `least`, at most `count` of them, the
    /// surest first.
    pub(super) fn best(
        self,
        index: usize,
        generator: &AnchorGenerator,
        sizes: &[[usize; 2]],
        least: f32,
        count: usize,
    ) -> Vec<Vec<Detected>> {
        let anchors = generator.per_position();
        let [_, classes, positions] = self.logits.dims();
        let references = generator.level(index, self.size);
        let logits: Vec<f32> = self.logits.into_data().iter::<f32>().collect();
        let offsets: Vec<f32> = self.offsets.into_data().iter::<f32>().collect();
        let (offsets, _) = offsets.as_chunks::<4>();
        // Of a place in `[anchors, classes, positions]`: its position's anchor, and its class.
        let of = |place: usize| {
            let (anchor, class) = (place / positions / classes, place / positions);
            (place % positions * anchors + anchor, class % classes)
        };
        let image = |(logits, offsets, size): (&[f32], &[[f32; 4]], &[usize; 2])| {
            let is_inside = |place| generator.is_inside(index, self.size, of(place).0, *size);
            let mut candidates: Vec<(f32, usize)> = logits
                .iter()
                .copied()
                .zip(0..)
                .filter(|(logit, place)| *logit > least && is_inside(*place))
                .collect();
            candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            candidates.truncate(count);
            let decode = |(logit, place): (f32, usize)| {
                let (reference, class) = of(place);
                let row = reference % anchors * positions + reference / anchors;
                let bounds = BoxCoder::PLAIN.decode(offsets[row], references[reference]);
                Detected {
                    bounds: clip(bounds, *size),
                    class,
                    score: 1.0 / (1.0 + (-logit).exp()),
                }
            };
            candidates.into_iter().map(decode).collect()
        };
        let logits = logits.chunks_exact(anchors * classes * positions);
        let images = logits.zip(offsets.chunks_exact(anchors * positions));
        let images = images.zip(sizes);
        images
            .map(|((logits, offsets), size)| image((logits, offsets, size)))
            .collect()
    }
}

/// How anchors become targets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assignment {
    pub(super) matcher: Matcher,
    /// Which of them count; none: all that the matcher is sure of.
    pub(super) sampling: Option<(Sampler, u64)>,
}

/// What the outputs of a batch should be.
pub(super) struct Targets {
    /// By level, `[batch * anchors, positions]`.
    labels: Vec<Vec<i32>>,
    /// By level, the rows of the offsets that are for an object.
    rows: Vec<Vec<i32>>,
    /// The anchors of all of these rows, level after level, and the objects' bounds.
    pub(super) anchors: Vec<Bounds>,
    pub(super) wanted: Vec<Bounds>,
    /// Anchors that count.
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

    /// The sum of a loss of logits and labels over the levels, `[1]`.
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

    /// The offsets of the anchors for objects, `[objects' anchors, 4]`; none where there are none.
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
    /// A match for every anchor of all levels; those where the image has ended are in between.
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

    /// The matches of those that count; the others are in between.
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
