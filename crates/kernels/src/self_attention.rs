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
/// On Flex the scores of all pairs of tokens are never stored: a task holds those of a few queries. Under autodiff
/// only `qkv` is kept; the backward pass recomputes the scores, as in FlashAttention (Dao et al. 2022). The
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

/// [`self_attention`] in plain Burn.
pub fn self_attention_reference<B: KernelBackend>(
    qkv: Tensor<B, 3>,
    heads: usize,
    rotations: Option<Rotations<B>>,
) -> Tensor<B, 3> {
    let heads = Heads {
        count: heads,
        rotations: rotations.map(Rotations::primitives),
    };
    tensor(forward::<B>(float(qkv), heads))
}

pub(crate) fn forward<B: KernelBackend>(qkv: FloatTensor<B>, heads: Heads<B>) -> FloatTensor<B> {
    let parts = Parts::new(tensor(qkv), heads);
    let mixed = parts.probabilities().matmul(parts.value.clone());
    let [batch, heads, tokens, head] = mixed.dims();
    float(mixed.swap_dims(1, 2).reshape([batch, tokens, heads * head]))
}

/// The gradient of `qkv`.
pub(crate) fn backward<B: KernelBackend>(
    qkv: FloatTensor<B>,
    heads: Heads<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let parts = Parts::<B>::new(tensor(qkv), heads);
    let [batch, heads, tokens, head] = parts.value.dims();
    let grad = tensor::<B, 3>(grad)
        .reshape([batch, tokens, heads, head])
        .swap_dims(1, 2);
    let probabilities = parts.probabilities();
    let grad_value = probabilities.clone().swap_dims(2, 3).matmul(grad.clone());
    let inner = probabilities.clone() * grad.matmul(parts.value.clone().swap_dims(2, 3));
    let scores = inner.clone() - probabilities * inner.sum_dim(3);
    let grad_query = scores.clone().matmul(parts.key.clone()) * parts.scale;
    let grad_key = scores.swap_dims(2, 3).matmul(parts.query.clone()) * parts.scale;
    let [grad_query, grad_key] = [grad_query, grad_key].map(|grad| parts.turn(grad, -1.0));
    // [batch, heads, tokens, head] thrice, to [batch, tokens, 3 * channels].
    let grads: Tensor<B, 5> = Tensor::stack(vec![grad_query, grad_key, grad_value], 1);
    let grads = grads.permute([0, 3, 1, 2, 4]);
    float(grads.reshape([batch, tokens, 3 * heads * head]))
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

    /// `[batch, heads, tokens, tokens]`
    fn probabilities(&self) -> Tensor<B, 4> {
        let query = self.query.clone() * self.scale;
        softmax(query.matmul(self.key.clone().swap_dims(2, 3)))
    }
}
