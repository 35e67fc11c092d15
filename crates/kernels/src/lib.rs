//! Operators that Burn lacks or does slowly, each with its backward.
//!
//! Every operator has a Burn-like face (a function on [`Tensor`](burn::tensor::Tensor)s), a plain
//! statement of the same equation in Burn's own operators (`reference`), and a parity test that
//! holds the two together, values and gradients.
//!
//! | operator | why it exists |
//! |---|---|
//! | [`bias_activation`], [`gelu`], [`relu`] | one pass instead of several; exact derivative of GELU |
//! | [`AdamW`], [`sum_of_squares`] | a parameter's step in one pass; a card is sent those of many in one kernel |
//! | [`add`] | of two maps, by all threads |
//! | [`add_nearest`] | a coarse map enlarged onto a fine one, which is never held enlarged |
//! | [`clamp_min`], [`clamp_max`] | Burn's own make a number of NaN |
//! | [`convolution`] | any padding, bias and activation in the same pass; keeps what gradients need and no more |
//! | [`layer_norm`] | composed from primitives it keeps six tensors for the backward pass; this keeps its input |
//! | [`channels_first`], [`channels_last`] | a map and its gradient in the other layout, turned by tiles and once |
//! | [`low_rank_adapter`] | a dual low-rank bottleneck whose backward keeps the input alone and recomputes the rest |
//! | [`batch_norm`] | per-channel broadcasts of `[N, C, H, W]` are two orders slower on Flex than these rows |
//! | [`cross_entropy`] | per-pixel, with ignored pixels; logits are enlarged on the way and never held so |
//! | [`linear`], [`feed_forward`] | one matrix product over all positions; bias, activation and the next layer while rows are in the cache |
//! | [`softmax`] | by all threads; keeps its output alone |
//! | [`window_attention`] | from map to map, neither windows nor scores are held; keeps queries, keys and values |
//! | [`resize_bilinear`] | `align_corners = false`, the convention of every dense-prediction code base |
//! | [`focal_loss`] | of independent classes; keeps the logits alone |
//! | [`most_likely`] | one number leaves the device instead of one for every class |
//! | [`top_k`], [`nms`] | what a card proposes stays there until what is kept is known |
//! | [`roi_align`] | pools regions without holding their samples; deterministic gradients |
//!
//! # The backend bound
//!
//! [`KernelBackend`] is Burn's extension mechanism: the methods have defaults that any backend can
//! use, and [`Autodiff`](burn::backend::Autodiff) overrides them with an explicit backward.
//! [`TrainBackend`] is the same for code that differentiates: an autodiff backend whose inner
//! backend has the operators too.

mod activation;
mod adamw;
mod add;
mod add_nearest;
mod autodiff;
mod backend;
mod batch_norm;
mod clamp;
mod convolution;
#[cfg(feature = "cpu")]
mod cpu;
mod cross_entropy;
#[cfg(feature = "cube")]
mod cube;
mod focal_loss;
mod layer_norm;
mod layout;
mod linear;
mod low_rank;
mod most_likely;
mod nms;
mod pad;
mod primitive;
mod prompted_attention;
mod read;
mod resize;
mod roi_align;
mod scale_and_shift;
mod softmax;
mod top_k;
mod window;
mod window_attention;

pub use activation::{Activation, bias_activation, bias_activation_reference, gelu, relu};
pub use adamw::{AdamW, AdamWStep, AdamWTensors, sum_of_squares};
pub use add::add;
pub use add_nearest::{add_nearest, add_nearest_reference};
pub use backend::{Constant, KernelBackend, Lift, MemoryGauge, Same, TrainBackend};
pub use batch_norm::{BatchStatistics, batch_norm, batch_norm_reference};
pub use clamp::{clamp_max, clamp_min};
pub use convolution::{ConvolutionOptions, convolution, convolution_reference};
pub use cross_entropy::{cross_entropy, cross_entropy_reference};
pub use focal_loss::{BACKGROUND, FocalLoss, NOT_COUNTED, focal_loss, focal_loss_reference};
pub use layer_norm::{layer_norm, layer_norm_reference};
pub use layout::{ChannelAxis, channels_first, channels_last};
pub use linear::{feed_forward, linear, linear_activation, project_channels};
pub use low_rank::{LowRankWeights, low_rank_adapter, low_rank_adapter_reference};
pub use most_likely::most_likely;
pub use nms::{nms, unsuppressed};
pub use pad::pad;
pub use prompted_attention::PromptedAttention;
pub use read::{read, reads};
pub use resize::resize_bilinear;
pub use roi_align::{Roi, RoiAlign, roi_align, roi_align_reference};
pub use scale_and_shift::scale_and_shift;
pub use softmax::softmax;
pub use top_k::top_k;
pub use window::Windows;
pub use window_attention::{window_attention, window_attention_reference};
