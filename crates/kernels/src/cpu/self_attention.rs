//! Attention among all tokens: one task per head of an image, which holds the scores of a few queries at a time.

use std::mem::MaybeUninit;

use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::gemm::Scratch as Product;
use super::matrix::Matrix;
use super::packed::{Left, Right, product_panel, width};
use super::softmax::{softmax_backward_row, softmax_row};
use super::storage::{self, split_columns, tensor, written};
use super::vector::vectorised;
use crate::self_attention::Heads;

/// Approximate number of scores that a task holds: they stay in the second-level cache.
const SCORES: usize = 1 << 16;
/// Minimum and maximum number of queries that a task takes at once; multiples of the six rows of a tile.
const QUERIES: [usize; 2] = [12, 48];

/// Converts rotations in half precision to single.
pub(super) fn widened(heads: Heads<Flex>) -> Heads<Flex> {
    let rotations = heads.rotations;
    Heads {
        rotations: rotations.map(|parts| parts.map(storage::widened)),
        ..heads
    }
}

/// What all tasks share.
struct Geometry<'a> {
    /// `[batch, tokens, 3 * channels]`
    qkv: &'a [f32],
    tokens: usize,
    channels: usize,
    /// Channels of a head.
    head: usize,
    /// Cosines and sines, `[tokens, head / 2]` each.
    rotations: Option<[&'a [f32]; 2]>,
}

impl<'a> Geometry<'a> {
    fn new(qkv: &'a FlexTensor, heads: usize, rotations: Option<&'a [FlexTensor; 2]>) -> Self {
        let shape = qkv.layout().shape();
        let (tokens, channels) = (shape[1], shape[2] / 3);
        Self {
            qkv: qkv.storage(),
            tokens,
            channels,
            head: channels / heads,
            rotations: rotations.map(|[cosines, sines]| [cosines.storage(), sines.storage()]),
        }
    }

    fn scale(&self) -> f32 {
        (self.head as f32).powf(-0.5)
    }

    /// Number of queries that a task takes at once.
    fn queries(&self) -> usize {
        let [least, most] = QUERIES;
        let fitting = SCORES / self.tokens;
        (fitting / 6 * 6).clamp(least, most).min(self.tokens)
    }

    /// Queries (part 0), keys (1) or values (2) of a head of an image, `[tokens, head]`.
    fn part(&self, part: usize, [image, head]: [usize; 2]) -> Matrix<'a> {
        let row = 3 * self.channels;
        let start = image * self.tokens * row + part * self.channels + head * self.head;
        Matrix {
            values: &self.qkv[start..],
            strides: [row, 1],
        }
    }

    /// Copies tokens of a part from `first` on to `to`, `[tokens, head]`, rotated and multiplied by `scale`.
    fn read(&self, part: Matrix<'_>, first: usize, scale: f32, to: &mut [f32]) {
        vectorised(
            #[inline(always)]
            || {
                for (index, to) in to.chunks_exact_mut(self.head).enumerate() {
                    let token = first + index;
                    let from = &part.values[token * part.strides[0]..][..self.head];
                    for (to, &from) in to.iter_mut().zip(from) {
                        *to = from * scale;
                    }
                    self.turn(token, 1.0, to);
                }
            },
        );
    }

    /// Rotates a token, backwards where `direction` is -1.
    #[inline(always)]
    fn turn(&self, token: usize, direction: f32, values: &mut [f32]) {
        let Some([cosines, sines]) = self.rotations else {
            return;
        };
        let half = self.head / 2;
        let (first, second) = values.split_at_mut(half);
        let cosines = &cosines[token * half..][..half];
        let sines = &sines[token * half..][..half];
        let pairs = first.iter_mut().zip(second);
        for ((first, second), (&cosine, &sine)) in pairs.zip(cosines.iter().zip(sines)) {
            let sine = sine * direction;
            let turned = *first * cosine - *second * sine;
            *second = *second * cosine + *first * sine;
            *first = turned;
        }
    }

    /// The keys of a head, rotated if there are rotations; `copy` holds them then.
    fn keys<'b>(&self, at: [usize; 2], copy: &'b mut Vec<f32>) -> Matrix<'b>
    where
        'a: 'b,
    {
        let part = self.part(1, at);
        if self.rotations.is_none() {
            return part;
        }
        copy.resize(self.tokens * self.head, 0.0);
        self.read(part, 0, 1.0, copy);
        Matrix::rows(copy, self.head)
    }
}

/// The buffers of a task.
#[derive(Default)]
struct Scratch {
    left: Left,
    /// `[queries, head]`, rotated and scaled.
    query: Vec<f32>,
    /// `[queries, tokens]`
    scores: Vec<f32>,
    panel: Vec<f32>,
}

impl Scratch {
    /// Writes the probabilities of the queries from `first` on to `scores`.
    fn attend(
        &mut self,
        geometry: &Geometry<'_>,
        at: [usize; 2],
        keys: &Right,
        [first, count]: [usize; 2],
    ) {
        let (tokens, head) = (geometry.tokens, geometry.head);
        self.query.resize(count * head, 0.0);
        let queries = geometry.part(0, at);
        geometry.read(queries, first, geometry.scale(), &mut self.query);
        self.scores.resize(count * tokens, 0.0);
        let query = Matrix::rows(&self.query, head);
        rows(
            &mut self.left,
            &mut self.panel,
            query,
            keys,
            &mut self.scores,
        );
        vectorised(
            #[inline(always)]
            || {
                for row in self.scores.chunks_exact_mut(tokens) {
                    softmax_row(row);
                }
            },
        );
    }
}

/// Computes `c = a b` on this thread, for rows `c`.
fn rows(left: &mut Left, panel: &mut Vec<f32>, a: Matrix<'_>, b: &Right, c: &mut [f32]) {
    let columns = b.columns();
    let count = c.len() / columns;
    pack(left, a, [count, b.depth]);
    panel.resize(count * width(), 0.0);
    for (range, values) in b.panels() {
        product_panel(left, values, panel, None, |rows, sums| {
            let c = c[rows.start * columns..rows.end * columns].chunks_exact_mut(columns);
            for (c, sums) in c.zip(sums.chunks_exact(width())) {
                let c = &mut c[range.clone()];
                c.copy_from_slice(&sums[..c.len()]);
            }
        });
    }
}

fn pack(left: &mut Left, matrix: Matrix<'_>, sizes: [usize; 2]) {
    vectorised(
        #[inline(always)]
        || left.pack(matrix, sizes),
    );
}

/// See [`crate::self_attention`].
pub(super) fn forward(
    qkv: &FlexTensor,
    heads: usize,
    rotations: Option<&[FlexTensor; 2]>,
) -> FlexTensor {
    let (qkv, rotations) = (qkv.to_contiguous(), contiguous(rotations));
    let geometry = Geometry::new(&qkv, heads, rotations.as_ref());
    let &Geometry {
        tokens,
        channels,
        head,
        ..
    } = &geometry;
    let batch = qkv.layout().shape()[0];
    let write = |places: &mut [MaybeUninit<f32>]| {
        let images = places.par_chunks_mut(tokens * channels).enumerate();
        images.for_each(|(image, places)| {
            let heads = split_columns(places, channels, head).into_par_iter();
            heads.enumerate().for_each(|(index, mut targets)| {
                let at = [image, index];
                let mut copy = Vec::new();
                let keys = geometry.keys(at, &mut copy).transposed();
                let keys = Right::new(keys, [head, tokens]);
                let values = Right::new(geometry.part(2, at), [tokens, head]);
                let queries = geometry.queries();
                let blocks = targets.par_chunks_mut(queries).enumerate();
                blocks.for_each_init(Scratch::default, |scratch, (block, targets)| {
                    let range = [block * queries, targets.len()];
                    scratch.attend(&geometry, at, &keys, range);
                    mix(scratch, &values, targets);
                });
            });
        });
    };
    // SAFETY: the heads of the images cover all places, and each writes all of its tokens.
    let output = unsafe { written(batch * tokens * channels, write) };
    tensor(output, [batch, tokens, channels])
}

/// Writes the mean of the values under the probabilities.
fn mix(scratch: &mut Scratch, values: &Right, targets: &mut [&mut [MaybeUninit<f32>]]) {
    let probabilities = Matrix::rows(&scratch.scores, values.depth);
    pack(
        &mut scratch.left,
        probabilities,
        [targets.len(), values.depth],
    );
    scratch.panel.resize(targets.len() * width(), 0.0);
    for (range, panel) in values.panels() {
        product_panel(
            &scratch.left,
            panel,
            &mut scratch.panel,
            None,
            |rows, sums| {
                for (target, sums) in targets[rows].iter_mut().zip(sums.chunks_exact(width())) {
                    target[range.clone()].write_copy_of_slice(&sums[..range.len()]);
                }
            },
        );
    }
}

/// The gradient of `qkv`.
pub(super) fn backward(
    qkv: &FlexTensor,
    heads: usize,
    rotations: Option<&[FlexTensor; 2]>,
    grad: &FlexTensor,
) -> FlexTensor {
    let (qkv, rotations) = (qkv.to_contiguous(), contiguous(rotations));
    let grad = grad.to_contiguous();
    let geometry = Geometry::new(&qkv, heads, rotations.as_ref());
    let &Geometry {
        tokens, channels, ..
    } = &geometry;
    let shape = qkv.layout().shape().clone();
    let grads: &[f32] = grad.storage();
    let write = |places: &mut [MaybeUninit<f32>]| {
        let images = places.par_chunks_mut(tokens * 3 * channels);
        let images = images.zip(grads.par_chunks(tokens * channels)).enumerate();
        images.for_each(|(image, (places, grad))| {
            let mut parts = split_columns(places, 3 * channels, geometry.head).into_iter();
            let mut part = || -> Vec<_> { parts.by_ref().take(heads).collect() };
            let (queries, keys, values) = (part(), part(), part());
            let targets = queries.into_par_iter().zip(keys).zip(values).enumerate();
            targets.for_each(|(head, ((query, key), value))| {
                let grad = Matrix {
                    values: &grad[head * geometry.head..],
                    strides: [channels, 1],
                };
                backward_head(&geometry, [image, head], grad, [query, key, value]);
            });
        });
    };
    // SAFETY: the parts of the heads of the images cover all places, and each is written whole.
    let output = unsafe { written(shape.num_elements(), write) };
    tensor(output, shape)
}

/// The gradients of queries, keys and values of one head of an image.
fn backward_head(
    geometry: &Geometry<'_>,
    at: [usize; 2],
    grad: Matrix<'_>,
    [mut query, mut key, mut value]: [Vec<&mut [MaybeUninit<f32>]>; 3],
) {
    let (tokens, head) = (geometry.tokens, geometry.head);
    let mut copy = Vec::new();
    let keys = geometry.keys(at, &mut copy);
    let (keys, keys_turned) = (
        Right::new(keys, [tokens, head]),
        Right::new(keys.transposed(), [head, tokens]),
    );
    let values = geometry.part(2, at).transposed();
    let values = Right::new(values, [head, tokens]);
    let mut scratch = Scratch::default();
    let mut product = Product::default();
    let mut grad_scores = Vec::new();
    let mut grad_query = Vec::new();
    let mut sums = [0, 1].map(|_| vec![0.0; tokens * head]);
    let [grad_key, grad_value] = &mut sums;
    let queries = geometry.queries();
    for first in (0..tokens).step_by(queries) {
        let count = queries.min(tokens - first);
        scratch.attend(geometry, at, &keys_turned, [first, count]);
        let grad = grad.after(first);
        let transposed = |values| Matrix::rows(values, tokens).transposed();
        let sizes = [tokens, count, head];
        product.multiply_add(transposed(&scratch.scores), grad, grad_value, sizes);

        grad_scores.resize(count * tokens, 0.0);
        rows(
            &mut scratch.left,
            &mut scratch.panel,
            grad,
            &values,
            &mut grad_scores,
        );
        vectorised(
            #[inline(always)]
            || {
                let rows = grad_scores.chunks_exact_mut(tokens);
                for (grad, output) in rows.zip(scratch.scores.chunks_exact(tokens)) {
                    softmax_backward_row(grad, output);
                }
            },
        );
        // The queries are scaled already.
        let scaled = Matrix::rows(&scratch.query, head);
        product.multiply_add(transposed(&grad_scores), scaled, grad_key, sizes);

        grad_query.resize(count * head, 0.0);
        let scores = Matrix::rows(&grad_scores, tokens);
        rows(
            &mut scratch.left,
            &mut scratch.panel,
            scores,
            &keys,
            &mut grad_query,
        );
        write(
            geometry,
            first,
            geometry.scale(),
            true,
            &mut grad_query,
            &mut query,
        );
    }
    write(geometry, 0, 1.0, true, grad_key, &mut key);
    write(geometry, 0, 1.0, false, grad_value, &mut value);
}

/// Writes the gradients of tokens from `first` on, rotated back and multiplied by `scale`.
fn write(
    geometry: &Geometry<'_>,
    first: usize,
    scale: f32,
    is_turned: bool,
    grads: &mut [f32],
    targets: &mut [&mut [MaybeUninit<f32>]],
) {
    let grads = grads.chunks_exact_mut(geometry.head).enumerate();
    for (index, grad) in grads {
        if is_turned {
            geometry.turn(first + index, -1.0, grad);
        }
        for (target, &grad) in targets[first + index].iter_mut().zip(&*grad) {
            target.write(grad * scale);
        }
    }
}

fn contiguous(rotations: Option<&[FlexTensor; 2]>) -> Option<[FlexTensor; 2]> {
    rotations.map(|parts| [0, 1].map(|index: usize| parts[index].to_contiguous()))
}
