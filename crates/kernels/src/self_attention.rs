//! Attention among all tokens.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use crate::KernelBackend;
use crate::primitive::{float, tensor};
use crate::softmax;

/// The rotations of queries and keys by the positions of their tokens (RoPE, Su et al. 2021, arXiv 2104.09864).
///
/// Channel `i` and channel `i + head / 2` of a head are the two coordinates that turn together, as in the code of
/// DINOv3 and LLaMA.
#[derive(Debug, Clone)]
pub struct Rotations<B: KernelBackend> {
    /// Cosines of the angles, `[tokens, head / 2]`; 1 for a token that is not rotated.
    pub cosines: Tensor<B, 2>,
    /// Sines of the angles, `[tokens, head / 2]`; 0 for a token that is not rotated.
    pub sines: Tensor<B, 2>,
}

impl<B: KernelBackend> Rotations<B> {
    /// Adds tokens behind the others that are not rotated.
    #[must_use]
    pub fn with_unrotated(self, count: usize) -> Self {
        let [_, half] = self.cosines.dims();
        let device = self.cosines.device();
        let ones = Tensor::<B, 2>::ones([count, half], &device).cast(self.cosines.dtype());
        Self {
            sines: Tensor::cat(vec![self.sines, ones.zeros_like()], 0),
            cosines: Tensor::cat(vec![self.cosines, ones], 0),
        }
    }

    fn primitives(self) -> [FloatTensor<B>; 2] {
        [self.cosines, self.sines].map(float)
    }
}

/// The heads of an attention, and the primitives of its [`Rotations`].
#[derive(Debug)]
pub struct Heads<B: KernelBackend> {
    /// Number of heads.
    pub count: usize,
    /// Cosines and sines, `[tokens, head / 2]` each.
    pub rotations: Option<[FloatTensor<B>; 2]>,
}

impl<B: KernelBackend> Clone for Heads<B> {
    fn clone(&self) -> Self {
        Self {
            count: self.count,
            rotations: self.rotations.clone(),
        }
    }
}

/// Multi-head self-attention among all tokens, `softmax(q k^T / sqrt(d)) v` (Vaswani et al. 2017, equation 1).
///
/// The scores of all pairs of tokens are never stored: on Flex, a task holds those of a few queries; other backends
/// compute a block of queries at a time, of 64 MiB of scores or of 64 queries. Under autodiff only `qkv` is kept; the backward pass recomputes the scores, as in FlashAttention (Dao et al. 2022). The
/// rotations have no gradient.
///
/// # Shapes
///
/// - `qkv`: `[batch, tokens, 3 * channels]`; queries, keys and values side by side, each head after head
/// - output: `[batch, tokens, channels]`
///
/// # Panics
///
/// If the channels are no multiple of the heads, or the rotations do not fit.
pub fn self_attention<B: KernelBackend>(
    qkv: Tensor<B, 3>,
    heads: usize,
    rotations: Option<Rotations<B>>,
) -> Tensor<B, 3> {
    let [_, tokens, triple] = qkv.dims();
    assert_eq!(triple % (3 * heads), 0, "channels are a multiple of heads");
    if let Some(rotations) = &rotations {
        let half = triple / (6 * heads);
        assert_eq!(rotations.cosines.dims(), [tokens, half]);
        assert_eq!(rotations.sines.dims(), [tokens, half]);
    }
    let heads = Heads {
        count: heads,
        rotations: rotations.map(Rotations::primitives),
    };
    tensor(B::self_attention(float(qkv), heads))
}

/// [`self_attention`] in plain Burn, with the scores of all pairs of tokens at once.
pub fn self_attention_reference<B: KernelBackend>(
    qkv: Tensor<B, 3>,
    heads: usize,
    rotations: Option<Rotations<B>>,
) -> Tensor<B, 3> {
    let [_, tokens, _] = qkv.dims();
    let heads = Heads {
        count: heads,
        rotations: rotations.map(Rotations::primitives),
    };
    Parts::new(qkv, heads).mixed(tokens)
}

/// Number of scores that a backend without an operator of its own holds at a time; 64 MiB in single precision.
const SCORES: usize = 1 << 24;
/// Minimum number of queries at a time, so that the products fill a graphics card.
const QUERIES: usize = 64;

/// Attention of a block of queries at a time.
pub(crate) fn forward<B: KernelBackend>(qkv: FloatTensor<B>, heads: Heads<B>) -> FloatTensor<B> {
    let parts = Parts::<B>::new(tensor(qkv), heads);
    let queries = parts.queries();
    float(parts.mixed(queries))
}

/// The gradient of `qkv`, from a block of queries at a time.
pub(crate) fn backward<B: KernelBackend>(
    qkv: FloatTensor<B>,
    heads: Heads<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let parts = Parts::<B>::new(tensor(qkv), heads);
    let queries = parts.queries();
    float(parts.gradient(tensor(grad), queries))
}

/// Queries, keys and values by head, `[batch, heads, tokens, head]`, rotated.
struct Parts<B: KernelBackend> {
    query: Tensor<B, 4>,
    key: Tensor<B, 4>,
    value: Tensor<B, 4>,
    /// Cosines and sines, `[1, 1, tokens, head / 2]` each.
    rotations: Option<[Tensor<B, 4>; 2]>,
    scale: f64,
}

impl<B: KernelBackend> Parts<B> {
    fn new(qkv: Tensor<B, 3>, heads: Heads<B>) -> Self {
        let [batch, tokens, triple] = qkv.dims();
        let head = triple / (3 * heads.count);
        let part = |index: usize| {
            qkv.clone()
                .narrow(2, index * triple / 3, triple / 3)
                .reshape([batch, tokens, heads.count, head])
                .swap_dims(1, 2)
        };
        let [query, key, value] = [0, 1, 2].map(part);
        // Rotations are single precision where a network is not.
        let table = |part| tensor::<B, 2>(part).cast(qkv.dtype()).unsqueeze();
        let rotations = heads.rotations.map(|parts| parts.map(table));
        let mut parts = Self {
            query,
            key,
            value,
            rotations,
            scale: (head as f64).powf(-0.5),
        };
        parts.query = parts.turn(parts.query.clone(), 1.0);
        parts.key = parts.turn(parts.key.clone(), 1.0);
        parts
    }

    /// Rotates every token, backwards where `direction` is -1.
    fn turn(&self, x: Tensor<B, 4>, direction: f64) -> Tensor<B, 4> {
        let Some([cosines, sines]) = self.rotations.clone() else {
            return x;
        };
        let half = x.dims()[3] / 2;
        let (first, second) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
        let sines = sines * direction;
        let turned = [
            first.clone() * cosines.clone() - second.clone() * sines.clone(),
            second * cosines + first * sines,
        ];
        Tensor::cat(turned.to_vec(), 3)
    }

    /// Number of queries whose scores are held at a time.
    fn queries(&self) -> usize {
        let [batch, heads, tokens, _] = self.value.dims();
        (SCORES / (batch * heads * tokens)).max(QUERIES)
    }

    /// The first and the number of the queries of every block.
    fn blocks(&self, queries: usize) -> impl Iterator<Item = [usize; 2]> + use<B> {
        let tokens = self.value.dims()[2];
        let block = move |first| [first, queries.min(tokens - first)];
        (0..tokens).step_by(queries).map(block)
    }

    /// `[batch, heads, count, tokens]`
    fn probabilities(&self, [first, count]: [usize; 2]) -> Tensor<B, 4> {
        let query = self.query.clone().narrow(2, first, count) * self.scale;
        softmax(query.matmul(self.key.clone().swap_dims(2, 3)))
    }

    /// The means of the values under the probabilities of `queries` queries at a time, `[batch, tokens, channels]`.
    fn mixed(&self, queries: usize) -> Tensor<B, 3> {
        let [batch, heads, tokens, head] = self.value.dims();
        let mixed = self.blocks(queries).map(|block| {
            let mixed = self.probabilities(block).matmul(self.value.clone());
            mixed.swap_dims(1, 2)
        });
        let mixed = Tensor::cat(mixed.collect(), 1);
        mixed.reshape([batch, tokens, heads * head])
    }

    /// The gradient of `qkv` for that of the output, from `queries` queries at a time.
    fn gradient(&self, grad: Tensor<B, 3>, queries: usize) -> Tensor<B, 3> {
        let [batch, heads, tokens, head] = self.value.dims();
        let grad = grad.reshape([batch, tokens, heads, head]).swap_dims(1, 2);
        let mut grad_queries = Vec::new();
        let mut sums: Option<[Tensor<B, 4>; 2]> = None;
        for [first, count] in self.blocks(queries) {
            let grad = grad.clone().narrow(2, first, count);
            let query = self.query.clone().narrow(2, first, count);
            let probabilities = self.probabilities([first, count]);
            let grad_value = probabilities.clone().swap_dims(2, 3).matmul(grad.clone());
            let inner = probabilities.clone() * grad.matmul(self.value.clone().swap_dims(2, 3));
            let scores = inner.clone() - probabilities * inner.sum_dim(3);
            grad_queries.push(scores.clone().matmul(self.key.clone()));
            let grad_key = scores.swap_dims(2, 3).matmul(query);
            sums = Some(match sums {
                Some([keys, values]) => [keys + grad_key, values + grad_value],
                None => [grad_key, grad_value],
            });
        }
        let Some([grad_key, grad_value]) = sums else {
            unreachable!("there is a class token at least")
        };
        let grads = [Tensor::cat(grad_queries, 2), grad_key].map(|grad| grad * self.scale);
        let [grad_query, grad_key] = grads.map(|grad| self.turn(grad, -1.0));
        // [batch, heads, tokens, head] thrice, to [batch, tokens, 3 * channels].
        let grads: Tensor<B, 5> = Tensor::stack(vec![grad_query, grad_key, grad_value], 1);
        let grads = grads.permute([0, 3, 1, 2, 4]);
        grads.reshape([batch, tokens, 3 * heads * head])
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    #[test]
    fn blocks_of_queries_give_what_all_at_once_give() {
        let (heads, tokens, channels) = (3, 23, 24);
        let device = Default::default();
        let random = |shape| {
            let distribution = Distribution::Normal(0.0, 1.0);
            Tensor::<Flex, 3>::random(shape, distribution, &device)
        };
        let qkv = random([2, tokens, 3 * channels]);
        let grad = random([2, tokens, channels]);
        let angles = random([1, tokens, channels / heads / 2]).squeeze_dim::<2>(0);
        let rotations = [angles.clone().cos(), angles.sin()].map(float);
        for rotations in [None, Some(rotations)] {
            let heads = Heads {
                count: heads,
                rotations,
            };
            let parts = Parts::<Flex>::new(qkv.clone(), heads);
            let whole = [parts.mixed(tokens), parts.gradient(grad.clone(), tokens)];
            // A block that is not full, and blocks of one query.
            for queries in [1, 5, 22] {
                let blocks = [parts.mixed(queries), parts.gradient(grad.clone(), queries)];
                for (whole, blocks) in whole.iter().zip(blocks) {
                    // Sums of single precision in another order.
                    let tolerance = Tolerance::<f32>::rel_abs(1e-5, 1e-5);
                    blocks
                        .into_data()
                        .assert_approx_eq(&whole.to_data(), tolerance);
                }
            }
        }
    }
}
