//! Prompts: the common part of shallow and deep prompt tuning. In a plain vision transformer they are further tokens, as
//! in the publication; in a Swin they are in every window, as in its code.

use burn::module::Param;
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Description, TransformerBlock};
use gradway_kernels::{KernelBackend, PromptedAttention, Rotations, Windows, self_attention};

/// Initialises prompts, `[tokens, channels]`, from the publication's uniform distribution for patches of 4 x 4
/// pixels.
pub(crate) fn prompts<B: Backend>(
    tokens: usize,
    channels: usize,
    device: &B::Device,
) -> Param<Tensor<B, 2>> {
    let bound = (6.0 / (3 * 4 * 4 + channels) as f64).sqrt();
    let uniform = Initializer::Uniform {
        min: -bound,
        max: bound,
    };
    uniform.init([tokens, channels], device)
}

/// Returns why prompts do not fit a backbone, if they do not.
pub(crate) fn misfit(backbone: &Description) -> Option<&'static str> {
    (!backbone.is_transformer()).then_some("its prompts take part in attention")
}

/// Computes the attention of a block with prompts, `[batch, tokens, channels]`, in its windows.
pub(crate) fn attend<B: KernelBackend>(
    block: &dyn TransformerBlock<B>,
    prompts: Tensor<B, 3>,
    qkv: Tensor<B, 4>,
    table: Tensor<B, 2>,
    windows: Windows,
) -> PromptedAttention<B> {
    let prompts = block.tokens_query_key_value(prompts);
    PromptedAttention::new(qkv, prompts, table, windows)
}

/// Computes the attention among all tokens and prompts of a block: the output of the tokens and that of the prompts.
/// Prompts have no place, so they are not rotated.
pub(crate) fn attend_globally<B: KernelBackend>(
    block: &dyn TransformerBlock<B>,
    prompts: Tensor<B, 3>,
    qkv: Tensor<B, 3>,
    heads: usize,
    rotations: Option<Rotations<B>>,
) -> [Tensor<B, 3>; 2] {
    let (tokens, count) = (qkv.dims()[1], prompts.dims()[1]);
    let prompts = block.tokens_query_key_value(prompts);
    let rotations = rotations.map(|rotations| rotations.with_unrotated(count));
    let mixed = self_attention(Tensor::cat(vec![qkv, prompts], 1), heads, rotations);
    [
        mixed.clone().narrow(1, 0, tokens),
        mixed.narrow(1, tokens, count),
    ]
}

/// Repeats the prompts for every image.
pub(crate) fn for_batch<B: Backend>(prompts: Tensor<B, 2>, batch: usize) -> Tensor<B, 3> {
    prompts.unsqueeze::<3>().repeat_dim(0, batch)
}
