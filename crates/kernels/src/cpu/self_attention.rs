//! Attention among all tokens: one task per head of an image, which holds the scores of a few queries at a time.

use std::mem::MaybeUninit;

use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::activation::Finish;
use super::gemm::Scratch as Product;
use super::matrix::Matrix;
use super::packed::{Left, Right, pack_panel, panel_columns, product_panel, width};
use super::softmax::{MOST, softmax_backward_row, softmax_columns, softmax_row};
use super::storage::{self, refill, split_columns, tensor, written};
use super::vector::vectorised;
use crate::self_attention::Heads;

/// Approximate number of scores that a task holds: they stay in the second-level cache.
const SCORES: usize = 1 << 16;
/// Maximum number of panels of queries that a task takes at once in the forward pass.
const PANELS: usize = 3;
/// Number of tokens whose keys and values are packed together.
const TOKENS: usize = 384;
/// Minimum and maximum number of queries that are taken at once in the backward pass; multiples of the six rows of a
/// tile.
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

    /// Number of queries that the backward pass takes at once.
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

    /// Some queries of a head, `[count, head]`, rotated and scaled; `copy` holds them.
    fn some_queries<'b>(
        &self,
        at: [usize; 2],
        [first, count]: [usize; 2],
        copy: &'b mut Vec<f32>,
    ) -> Matrix<'b> {
        copy.resize(count * self.head, 0.0);
        self.read(self.part(0, at), first, self.scale(), copy);
        Matrix::rows(copy, self.head)
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

/// Keys and values of a head, packed as left sides by some tokens each, which stay in the second-level cache while
/// all queries of a task pass over them.
struct Packed {
    /// `[tokens, head]` each
    keys: Vec<Left>,
    /// `[head, tokens]` each
    values: Vec<Left>,
}

impl Packed {
    fn new(geometry: &Geometry<'_>, at: [usize; 2]) -> Self {
        let mut copy = Vec::new();
        let keys = geometry.keys(at, &mut copy);
        let values = geometry.part(2, at);
        let (tokens, head) = (geometry.tokens, geometry.head);
        let firsts = (0..tokens).step_by(TOKENS);
        let parts = firsts.map(|first| [first, TOKENS.min(tokens - first)]);
        let pack_keys = |[first, count]: [usize; 2]| Left::new(keys.after(first), [count, head]);
        let pack_values =
            |[first, count]: [usize; 2]| Left::new(values.after(first).transposed(), [head, count]);
        Self {
            keys: parts.clone().map(pack_keys).collect(),
            values: parts.map(pack_values).collect(),
        }
    }
}

/// The buffers of a task of the forward pass. Queries are columns here: a panel of scores is then the right side of
/// the product with the values as it is, and the softmax needs no sum across a vector.
#[derive(Default)]
struct Columns {
    /// `[queries, head]`, rotated and scaled.
    query: Vec<f32>,
    /// `[head, width]` for every panel.
    queries: Vec<f32>,
    /// `[tokens, width]` for every panel.
    scores: Vec<f32>,
    /// `[head, width]`
    part: Vec<f32>,
    /// `[head, width]` for every panel.
    sums: Vec<f32>,
}

impl Columns {
    /// Writes the means of the values under the probabilities of the queries from `first` on.
    fn attend(
        &mut self,
        geometry: &Geometry<'_>,
        at: [usize; 2],
        packed: &Packed,
        first: usize,
        targets: &mut [&mut [MaybeUninit<f32>]],
    ) {
        let (tokens, head, count) = (geometry.tokens, geometry.head, targets.len());
        let width = width();
        let panels = count.div_ceil(width);
        let query = geometry.some_queries(at, [first, count], &mut self.query);
        let query = query.transposed();
        let pack = |places: &mut [MaybeUninit<f32>]| {
            let places = places.chunks_exact_mut(head * width).enumerate();
            for (panel, places) in places {
                pack_panel(query, panel_columns(panel, count), places);
            }
        };
        // SAFETY: every panel is written whole.
        unsafe { refill(&mut self.queries, panels * head * width, pack) };

        self.scores.resize(panels * tokens * width, 0.0);
        let mut token = 0;
        for keys in &packed.keys {
            let scores = self.scores.chunks_exact_mut(tokens * width);
            for (query, scores) in self.queries.chunks_exact(head * width).zip(scores) {
                let scores = &mut scores[token * width..][..keys.rows * width];
                product_panel(keys, query, scores, None, |_, _| {});
            }
            token += keys.rows;
        }
        let mut inverses = [[0.0; MOST]; PANELS];
        for (scores, inverses) in self
            .scores
            .chunks_exact_mut(tokens * width)
            .zip(&mut inverses)
        {
            softmax_columns(scores, &mut inverses[..width]);
        }

        self.part.resize(head * width, 0.0);
        self.sums.clear();
        self.sums.resize(panels * head * width, 0.0);
        let mut token = 0;
        for values in &packed.values {
            let scores = self.scores.chunks_exact(tokens * width);
            for (scores, sums) in scores.zip(self.sums.chunks_exact_mut(head * width)) {
                let scores = &scores[token * width..][..values.depth * width];
                product_panel(values, scores, &mut self.part, None, |_, _| {});
                for (sum, part) in sums.iter_mut().zip(&self.part) {
                    *sum += part;
                }
            }
            token += values.depth;
        }
        for (query, target) in targets.iter_mut().enumerate() {
            let (panel, lane) = (query / width, query % width);
            let inverse = inverses[panel][lane];
            let sums = self.sums[panel * head * width + lane..]
                .iter()
                .step_by(width);
            for (place, sum) in target.iter_mut().zip(sums) {
                place.write(sum * inverse);
            }
        }
    }
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
    let panels = SCORES / (tokens * width());
    let queries = panels.clamp(1, PANELS) * width();
    let write = |places: &mut [MaybeUninit<f32>]| {
        let images = places.par_chunks_mut(tokens * channels).enumerate();
        images.for_each(|(image, places)| {
            let heads = split_columns(places, channels, head).into_par_iter();
            heads.enumerate().for_each(|(index, mut targets)| {
                let at = [image, index];
                let packed = Packed::new(&geometry, at);
                let blocks = targets.par_chunks_mut(queries).enumerate();
                blocks.for_each_init(Columns::default, |columns, (block, targets)| {
                    columns.attend(&geometry, at, &packed, block * queries, targets);
                });
            });
        });
    };
    // SAFETY: the heads of the images cover all places, and each writes all of its tokens.
    let output = unsafe { written(batch * tokens * channels, write) };
    tensor(output, [batch, tokens, channels])
}

/// The buffers of the backward pass of a head.
#[derive(Default)]
struct Scratch {
    product: Product,
    /// `[queries, head]`, rotated and scaled.
    query: Vec<f32>,
    /// `[queries, tokens]`
    scores: Vec<f32>,
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
        let query = geometry.some_queries(at, [first, count], &mut self.query);
        rows(&mut self.product, query, keys, count, &mut self.scores);
        vectorised(
            #[inline(always)]
            || {
                for row in self.scores.chunks_exact_mut(geometry.tokens) {
                    softmax_row(row);
                }
            },
        );
    }
}

/// Computes `c = a b` on this thread, for `count` rows.
fn rows(product: &mut Product, a: Matrix<'_>, b: &Right, count: usize, c: &mut Vec<f32>) {
    let columns = b.columns();
    let write = |places: &mut [MaybeUninit<f32>]| {
        product.finished_rows(a, b, Finish::NOTHING, places, columns);
    };
    // SAFETY: every element of these rows is written.
    unsafe { refill(c, count * columns, write) };
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
        let probabilities = transposed(&scratch.scores);
        scratch
            .product
            .multiply_add(probabilities, grad, grad_value, sizes);

        rows(&mut scratch.product, grad, &values, count, &mut grad_scores);
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
        let scores = transposed(&grad_scores);
        scratch
            .product
            .multiply_add(scores, scaled, grad_key, sizes);

        let scores = Matrix::rows(&grad_scores, tokens);
        rows(&mut scratch.product, scores, &keys, count, &mut grad_query);
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
