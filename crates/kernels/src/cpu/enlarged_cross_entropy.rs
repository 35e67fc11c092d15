//! Cross entropy of logits that are smaller than the labels. The logits are enlarged one band of lines at a
//! time, in the cache, and never stored as a whole.

use std::ops::Range;

use burn::tensor::TensorMetadata;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::labels::labels;
use super::math::exp;
use super::storage::tensor;
use super::vector::vectorised;
use crate::resize::Tap;

/// The mapping from lines and columns of logits to those of labels. A band is the lines of labels between two
/// neighbouring lines of logits.
struct Bands {
    down: Vec<Tap>,
    across: Vec<Tap>,
    /// Height and width of the logits.
    old: [usize; 2],
}

impl Bands {
    fn new(old: [usize; 2], size: [usize; 2]) -> Self {
        Self {
            down: Tap::all(old[0], size[0]),
            across: Tap::all(old[1], size[1]),
            old,
        }
    }

    fn lines(&self, band: usize) -> Range<usize> {
        let first = self.down.partition_point(|tap| tap.below < band);
        let end = self.down.partition_point(|tap| tap.below <= band);
        first..end
    }

    /// The line of logits below a band.
    fn next(&self, band: usize) -> usize {
        (band + 1).min(self.old[0] - 1)
    }
}

/// Two lines of logits of all classes, enlarged along their width, and the largest logit of every pixel of a line.
struct Lines {
    upper: Vec<f32>,
    lower: Vec<f32>,
    largest: Vec<f32>,
}

impl Lines {
    fn new(classes: usize, width: usize) -> Self {
        Self {
            upper: vec![0.0; classes * width],
            lower: vec![0.0; classes * width],
            largest: vec![0.0; width],
        }
    }

    /// Reads the two lines around a band of an image, `[classes, height, width]`.
    fn fill(&mut self, logits: &[f32], bands: &Bands, band: usize) {
        let [height, width] = bands.old;
        for (lines, row) in [(&mut self.upper, band), (&mut self.lower, bands.next(band))] {
            let planes = logits.chunks_exact(height * width);
            for (line, plane) in lines.chunks_exact_mut(bands.across.len()).zip(planes) {
                let source = &plane[row * width..][..width];
                for (place, tap) in line.iter_mut().zip(&bands.across) {
                    let (below, above) = (source[tap.below], source[tap.above]);
                    *place = (above - below).mul_add(tap.share, below);
                }
            }
        }
    }

    /// `log sum over classes exp(logit)` of every pixel of the line in which the lower line has the weight `share`.
    #[inline(always)]
    fn normalise(&mut self, output: &mut [f32], share: f32) {
        let mut largest = std::mem::take(&mut self.largest);
        largest.fill(f32::NEG_INFINITY);
        let width = largest.len();
        let classes = || {
            let lower = self.lower.chunks_exact(width);
            self.upper.chunks_exact(width).zip(lower)
        };
        for (upper, lower) in classes() {
            for ((largest, &upper), &lower) in largest.iter_mut().zip(upper).zip(lower) {
                let logit = (lower - upper).mul_add(share, upper);
                *largest = if logit > *largest { logit } else { *largest };
            }
        }
        output.fill(0.0);
        for (upper, lower) in classes() {
            let sources = upper.iter().zip(lower).zip(&largest);
            for (sum, ((&upper, &lower), &largest)) in output.iter_mut().zip(sources) {
                *sum += exp((lower - upper).mul_add(share, upper) - largest);
            }
        }
        for (sum, &largest) in output.iter_mut().zip(&largest) {
            *sum = sum.ln() + largest;
        }
        self.largest = largest;
    }
}

/// Splits `all`, `[batch, pixels]`, into parts: image, band and its pixels, which may be none.
fn split<'a>(all: &'a mut [f32], bands: &Bands) -> Vec<(usize, usize, &'a mut [f32])> {
    let (lines, width) = (bands.down.len(), bands.across.len());
    let mut parts = Vec::new();
    for (image, mut rest) in all.chunks_exact_mut(lines * width).enumerate() {
        for band in 0..bands.old[0] {
            let (part, others) = rest.split_at_mut(bands.lines(band).len() * width);
            parts.push((image, band, part));
            rest = others;
        }
    }
    parts
}

/// As the forward pass of `cross_entropy.rs`, of logits `[batch, classes, height, width]` and labels of `size`.
pub(super) fn forward(
    logits: &FlexTensor,
    labels_tensor: &FlexTensor,
    weights: &FlexTensor,
    size: [usize; 2],
) -> [FlexTensor; 2] {
    let (logits, weights) = (logits.to_contiguous(), weights.to_contiguous());
    let [batch, classes, height, width] = logits.shape().dims();
    let (values, weights): (&[f32], &[f32]) = (logits.storage(), weights.storage());
    let labels = labels(labels_tensor);
    let bands = Bands::new([height, width], size);
    let [lines, columns] = size;
    let mut normalisers = vec![0.0_f32; batch * lines * columns];
    let losses: Vec<f64> = split(&mut normalisers, &bands)
        .into_par_iter()
        .map_init(
            || Lines::new(classes, columns),
            |held, (image, band, part)| {
                if part.is_empty() {
                    return 0.0;
                }
                let plane = classes * height * width;
                held.fill(&values[image * plane..][..plane], &bands, band);
                let mut loss = 0.0;
                for (line, output) in bands.lines(band).zip(part.chunks_exact_mut(columns)) {
                    let share = bands.down[line].share;
                    vectorised(
                        #[inline(always)]
                        || held.normalise(output, share),
                    );
                    let at = (image * lines + line) * columns;
                    for (column, normaliser) in output.iter().enumerate() {
                        let place = labels[at + column] as usize * columns + column;
                        let (upper, lower) = (held.upper[place], held.lower[place]);
                        let logit = (lower - upper).mul_add(share, upper);
                        loss += f64::from(weights[at + column] * (normaliser - logit));
                    }
                }
                loss
            },
        )
        .collect();
    let loss = losses.iter().sum::<f64>() as f32;
    [
        tensor(vec![loss], [1]),
        tensor(normalisers, [batch, lines * columns]),
    ]
}

/// The contribution of a line of pixels to the gradients of the two lines of logits around it.
struct Line<'a> {
    normalisers: &'a [f32],
    weights: &'a [f32],
    labels: &'a [i32],
    share: f32,
    grad: f32,
}

impl Line<'_> {
    #[inline(always)]
    fn add(&self, held: &Lines, sums: &mut Lines) {
        let width = self.labels.len();
        let sources = held
            .upper
            .chunks_exact(width)
            .zip(held.lower.chunks_exact(width));
        let sums = sums
            .upper
            .chunks_exact_mut(width)
            .zip(sums.lower.chunks_exact_mut(width));
        for (class, ((upper, lower), (to_upper, to_lower))) in sources.zip(sums).enumerate() {
            let class = class as i32;
            let pixels = self.normalisers.iter().zip(self.weights).zip(self.labels);
            let logits = upper.iter().zip(lower);
            let to = to_upper.iter_mut().zip(to_lower);
            for ((((normaliser, weight), label), (&upper, &lower)), (to_upper, to_lower)) in
                pixels.zip(logits).zip(to)
            {
                let logit = (lower - upper).mul_add(self.share, upper);
                let hit = if *label == class { 1.0 } else { 0.0 };
                let slope = (exp(logit - normaliser) - hit) * weight * self.grad;
                *to_upper += slope * (1.0 - self.share);
                *to_lower = slope.mul_add(self.share, *to_lower);
            }
        }
    }
}

/// The gradient of the logits.
pub(super) fn backward(
    logits: &FlexTensor,
    normalisers: &FlexTensor,
    labels_tensor: &FlexTensor,
    weights: &FlexTensor,
    grad: &FlexTensor,
    size: [usize; 2],
) -> FlexTensor {
    let (logits, weights) = (logits.to_contiguous(), weights.to_contiguous());
    let normalisers = normalisers.to_contiguous();
    let [batch, classes, height, width] = logits.shape().dims();
    let values: &[f32] = logits.storage();
    let (normalisers, weights): (&[f32], &[f32]) = (normalisers.storage(), weights.storage());
    let grad = grad.to_contiguous().storage::<f32>()[0];
    let labels = labels(labels_tensor);
    let bands = Bands::new([height, width], size);
    let [lines, columns] = size;
    // Of the two lines of logits about every band, `[batch, height, classes, width]` each.
    let part = classes * width;
    let mut to_upper = vec![0.0_f32; batch * height * part];
    let mut to_lower = to_upper.clone();
    let parts = to_upper
        .par_chunks_exact_mut(part)
        .zip(to_lower.par_chunks_exact_mut(part));
    parts.enumerate().for_each_init(
        || (Lines::new(classes, columns), Lines::new(classes, columns)),
        |(held, sums), (index, (to_upper, to_lower))| {
            let (image, band) = (index / height, index % height);
            let plane = classes * height * width;
            held.fill(&values[image * plane..][..plane], &bands, band);
            sums.upper.fill(0.0);
            sums.lower.fill(0.0);
            for line in bands.lines(band) {
                let pixels = (image * lines + line) * columns..;
                let line = Line {
                    normalisers: &normalisers[pixels.clone()][..columns],
                    weights: &weights[pixels.clone()][..columns],
                    labels: &labels[pixels][..columns],
                    share: bands.down[line].share,
                    grad,
                };
                vectorised(
                    #[inline(always)]
                    || line.add(held, sums),
                );
            }
            for (sums, to) in [(&sums.upper, to_upper), (&sums.lower, to_lower)] {
                let classes = to.chunks_exact_mut(width).zip(sums.chunks_exact(columns));
                for (to, sums) in classes {
                    for (tap, sum) in bands.across.iter().zip(sums) {
                        to[tap.below] += sum * (1.0 - tap.share);
                        to[tap.above] += sum * tap.share;
                    }
                }
            }
        },
    );
    let mut output = vec![0.0_f32; batch * classes * height * width];
    let planes = output.par_chunks_exact_mut(height * width).enumerate();
    planes.for_each(|(plane, output)| {
        let (image, class) = (plane / classes, plane % classes);
        for band in 0..height {
            let from = ((image * height + band) * classes + class) * width;
            for (row, part) in [(band, &to_upper), (bands.next(band), &to_lower)] {
                let sums = output[row * width..][..width].iter_mut();
                for (sum, value) in sums.zip(&part[from..][..width]) {
                    *sum += value;
                }
            }
        }
    });
    tensor(output, [batch, classes, height, width])
}
