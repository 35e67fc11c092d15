//! Window attention with prompt tokens in every window.

use burn::tensor::Tensor;

use crate::window_attention::Parts;
use crate::{KernelBackend, Windows, softmax};

/// [`window_attention`](crate::window_attention) with prompts in every window (Jia et al. 2022, arXiv
/// 2203.12119, as in its code for Swin). Prompts have no position bias and are never masked.
///
/// It uses plain Burn on every backend.
pub struct PromptedAttention<B: KernelBackend> {
    parts: Parts<B>,
    /// Queries of the prompts, `[batch * windows, heads, prompts, head]`.
    query: Tensor<B, 4>,
    key: Tensor<B, 4>,
    /// Values of prompts and positions, `[batch * windows, heads, prompts + area, head]`.
    value: Tensor<B, 4>,
    batch: usize,
    windows: usize,
}

impl<B: KernelBackend> PromptedAttention<B> {
    /// # Shapes
    ///
    /// - `qkv`, `table`: as for [`window_attention`](crate::window_attention)
    /// - `prompts`: `[batch, prompts, 3 * channels]`
    ///
    /// # Panics
    ///
    /// If `qkv` does not have the padded size.
    pub fn new(
        qkv: Tensor<B, 4>,
        prompts: Tensor<B, 3>,
        table: Tensor<B, 2>,
        windows: Windows,
    ) -> Self {
        let [batch, height, width, _] = qkv.dims();
        assert_eq!([height, width], windows.padded(), "the map is padded");
        let parts = Parts::new(qkv, table, windows);
        let windows = windows.count();
        let [_, count, triple] = prompts.dims();
        let (heads, channels) = (parts.heads, triple / 3);
        let part = |index: usize| {
            let part = prompts.clone().narrow(2, index * channels, channels);
            part.reshape([batch, 1, count, channels])
                .repeat_dim(1, windows)
                .reshape([batch * windows, count, heads, channels / heads])
                .swap_dims(1, 2)
        };
        Self {
            query: part(0) * parts.scale,
            key: part(1),
            value: Tensor::cat(vec![part(2), parts.value.clone()], 2),
            parts,
            batch,
            windows,
        }
    }

    /// Returns the attention output at the positions, `[batch, height, width, channels]`, without padding.
    pub fn positions(&self) -> Tensor<B, 4> {
        let query = self.parts.query.clone() * self.parts.scale;
        let to_prompts = query.matmul(self.key.clone().swap_dims(2, 3));
        let scores = Tensor::cat(vec![to_prompts, self.parts.scores()], 3);
        let mixed = softmax(scores).matmul(self.value.clone());
        self.parts.join(mixed)
    }

    /// Returns the attention output of the prompts, averaged over the windows of an image: `[batch, prompts,
    /// channels]`.
    pub fn prompts(&self) -> Tensor<B, 3> {
        let key = Tensor::cat(vec![self.key.clone(), self.parts.key.clone()], 2);
        let scores = self.query.clone().matmul(key.swap_dims(2, 3));
        let mixed = softmax(scores).matmul(self.value.clone());
        let [_, heads, count, head] = mixed.dims();
        mixed
            .swap_dims(1, 2)
            .reshape([self.batch, self.windows, count, heads * head])
            .mean_dim(1)
            .squeeze_dim(1)
    }
}
