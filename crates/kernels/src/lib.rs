//! Operators that Burn lacks or runs slowly, each with its own backward pass.
//!
//! Every operator has a function on Burn's [`Tensor`](burn::tensor::Tensor)s, a reference implementation of the
//! same equation in Burn's own operators (`*_reference`), and a parity test that compares the values and
//! gradients of the two.
//!
//! | operator | why it exists |
//! |---|---|
//! | [`bias_activation`], [`gelu`], [`relu`] | one pass instead of several; exact derivative of GELU |
//! | [`AdamW`], [`sum_of_squares`] | the step of a parameter in one pass; on a GPU one kernel updates many parameters |
//! | [`add`] | adds two maps with all threads |
//! | [`add_nearest`] | adds an enlarged coarse map to a fine one without storing the enlarged map |
//! | [`clamp_min`], [`clamp_max`] | keep NaN, which Burn's own replace by a number |
//! | [`convolution`] | any padding, bias and activation in the same pass; keeps only what the gradients need |
//! | [`depthwise_convolution`] | of maps with their channels last, which are not moved to the front and back |
//! | [`layer_norm`] | keeps only its input for the backward pass; composed from primitives it keeps six tensors |
//! | [`layer_scale`] | scales branches by channel with all threads, in place where it can |
//! | [`channels_first`], [`channels_last`] | copy a map and its gradient to the other layout once, tile by tile |
//! | [`low_rank_adapter`] | a dual low-rank bottleneck that keeps only its input for the backward pass and recomputes the rest |
//! | [`batch_norm`] | works on rows: per-channel broadcasts of `[N, C, H, W]` are two orders of magnitude slower on Flex |
//! | [`cross_entropy`] | per-pixel, with ignored pixels; enlarges logits without storing the enlarged map |
//! | [`linear`], [`feed_forward`] | one matrix product over all positions; applies bias, activation and the next layer while rows are in the cache |
//! | [`softmax`] | uses all threads; keeps only its output |
//! | [`self_attention`] | never stores the scores of all pairs of tokens; keeps only queries, keys and values |
//! | [`window_attention`] | from map to map without storing windows or scores; keeps only queries, keys and values |
//! | [`resize_bilinear`] | `align_corners = false`, the convention of every dense-prediction code base |
//! | [`resize_bilinear_aligned`] | `align_corners = true`, for networks that are published with it |
//! | [`focal_loss`] | for independent classes; keeps only the logits |
//! | [`most_likely`] | copies one number per position from the device instead of one per class |
//! | [`top_k`], [`nms`] | proposals stay on the device until the final ones are selected |
//! | [`roi_align`] | pools regions without storing their samples; deterministic gradients |
//!
//! # The backend bound
//!
//! [`KernelBackend`] extends Burn's `Backend`: its methods have defaults that work on any backend, and
//! [`Autodiff`](burn::backend::Autodiff) overrides them with explicit backward passes. [`TrainBackend`] is the
//! bound for code that differentiates: an autodiff backend whose inner backend implements the operators too.

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
mod depthwise;
mod focal_loss;
mod layer_norm;
mod layer_scale;
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
mod self_attention;
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
pub use depthwise::{depthwise_convolution, depthwise_convolution_reference};
pub use focal_loss::{BACKGROUND, FocalLoss, NOT_COUNTED, focal_loss, focal_loss_reference};
pub use layer_norm::{layer_norm, layer_norm_reference};
pub use layer_scale::{layer_scale, layer_scale_reference};
pub use layout::{ChannelAxis, channels_first, channels_last};
pub use linear::{feed_forward, linear, linear_activation, project_channels};
pub use low_rank::{LowRankWeights, low_rank_adapter, low_rank_adapter_reference};
pub use most_likely::most_likely;
pub use nms::{nms, unsuppressed};
pub use pad::pad;
pub use prompted_attention::PromptedAttention;
pub use read::{read, reads};
pub use resize::{resize_bilinear, resize_bilinear_aligned};
pub use roi_align::{Roi, RoiAlign, roi_align, roi_align_reference};
pub use scale_and_shift::scale_and_shift;
pub use self_attention::{Heads, Rotations, self_attention, self_attention_reference};
pub use softmax::softmax;
pub use top_k::top_k;
pub use window::Windows;
pub use window_attention::{window_attention, window_attention_reference};
