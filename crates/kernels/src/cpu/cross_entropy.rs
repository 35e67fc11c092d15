//! Cross entropy over the classes of a map.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::enlarged_cross_entropy;
use super::labels::labels;
use super::math::exp;
use super::storage::{tensor, transform};
use super::vector::vectorised;

/// Number of positions that a thread takes at once; their maxima and sums stay in the first-level cache.
const POSITIONS: usize = 1024;

/// `weights * (log sum exp(logits) - logit of the label)`, summed, and the logarithm of every
/// position, `[batch, positions]`, of logits `[batch, classes, height, width]`.
pub(super) fn forward(
    logits: &FlexTensor,
    labels_tensor: &FlexTensor,
    weights: &FlexTensor,
    size: [usize; 2],
) -> [FlexTensor; 2] {
    let shape = logits.layout().shape();
    if shape[2..] != size {
        return enlarged_cross_entropy::forward(logits, labels_tensor, weights, size);
    }
    let (logits, weights) = (logits.to_contiguous(), weights.to_contiguous());
    let shape = logits.layout().shape();
    let (batch, classes, positions) = (shape[0], shape[1], shape[2] * shape[3]);
    let (values, weights): (&[f32], &[f32]) = (logits.storage(), weights.storage());
    let labels = labels(labels_tensor);
    let mut normalisers = vec![0.0_f32; batch * positions];
    let losses: Vec<f64> = normalisers
        .par_chunks_mut(positions)
        .enumerate()
        .flat_map(|(image, row)| {
            let chunks = row.par_chunks_mut(POSITIONS).enumerate();
            chunks.map(move |(index, chunk)| (image, index * POSITIONS, chunk))
        })
        .map(|(image, start, chunk)| {
            let class = |class: usize| {
                let row = (image * classes + class) * positions + start;
                &values[row..row + chunk_length(positions, start)]
            };
            vectorised(
                #[inline(always)]
                || normalise(chunk, classes, &class),
            );
            let at = image * positions + start;
            let picked = chunk.iter().enumerate().map(|(index, &normaliser)| {
                let label = labels[at + index] as usize;
                f64::from(weights[at + index] * (normaliser - class(label)[index]))
            });
            picked.sum()
        })
        .collect();
    let loss = losses.iter().sum::<f64>() as f32;
    [
        tensor(vec![loss], [1]),
        tensor(normalisers, [batch, positions]),
    ]
}

fn chunk_length(positions: usize, start: usize) -> usize {
    POSITIONS.min(positions - start)
}

/// `log sum over classes exp(logit)` of every position.
#[inline(always)]
fn normalise<'a>(output: &mut [f32], classes: usize, class: &impl Fn(usize) -> &'a [f32]) {
    let mut maxima = [f32::NEG_INFINITY; POSITIONS];
    let maxima = &mut maxima[..output.len()];
    for index in 0..classes {
        for (maximum, &value) in maxima.iter_mut().zip(class(index)) {
            *maximum = if value > *maximum { value } else { *maximum };
        }
    }
    output.fill(0.0);
    for index in 0..classes {
        for ((sum, &maximum), &value) in output.iter_mut().zip(&*maxima).zip(class(index)) {
            *sum += exp(value - maximum);
        }
    }
    for (sum, &maximum) in output.iter_mut().zip(&*maxima) {
        *sum = sum.ln() + maximum;
    }
}

/// `(probability - 1[class = label]) * weight * grad`
pub(super) fn backward(
    logits: FlexTensor,
    normalisers: &FlexTensor,
    labels_tensor: &FlexTensor,
    weights: &FlexTensor,
    grad: &FlexTensor,
    size: [usize; 2],
) -> FlexTensor {
    let shape = logits.layout().shape();
    if shape[2..] != size {
        let labels = labels_tensor;
        return enlarged_cross_entropy::backward(&logits, normalisers, labels, weights, grad, size);
    }
    let (classes, positions) = (shape[1], shape[2] * shape[3]);
    let weights = weights.to_contiguous();
    let (normalisers, weights): (&[f32], &[f32]) = (normalisers.storage(), weights.storage());
    let grad = grad.to_contiguous().storage::<f32>()[0];
    let labels = labels(labels_tensor);
    transform(
        logits,
        positions,
        #[inline(always)]
        |start, chunk| {
            let first = start / positions;
            for (index, row) in chunk.chunks_exact_mut(positions).enumerate() {
                let (image, class) = ((first + index) / classes, (first + index) % classes);
                let at = image * positions..(image + 1) * positions;
                let sources = normalisers[at.clone()].iter().zip(&weights[at.clone()]);
                let sources = sources.zip(&labels[at]);
                for (value, ((&normaliser, &weight), &label)) in row.iter_mut().zip(sources) {
                    let hit = if label == class as i32 { 1.0 } else { 0.0 };
                    *value = (exp(*value - normaliser) - hit) * weight * grad;
                }
            }
        },
    )
}
