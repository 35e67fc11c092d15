//! Every operator against its plain statement: the value and the gradient of every input, on random
//! inputs of odd sizes.
//!
//! # Tolerances
//!
//! Errors are `max|a - b| / max|b|`. A 32-bit float rounds by 6e-8; the operators sum at most a few
//! hundred terms in another order than their statements, which makes 1e-6 of that.
//! [`harness::VALUE`] leaves a factor of five. A gradient sums once more, over positions, with
//! cancellation: [`harness::GRADIENT`] leaves another four. A wrong term, axis or count shows as
//! 1e-3 and more, the approximate derivative of the GELU as 1e-4.
//!
//! With `--features cuda` or `vulkan` the operators and their statements run on the graphics card. Its
//! matrix units round what they multiply to ten bits (TF32), which makes 3e-4 of the norm: values are
//! held to 1e-3 and gradients to 1e-2, by their norms.

mod activation;
mod attention;
mod convolution;
mod depthwise;
mod half;
mod harness;
mod layout;
mod loss;
mod low_rank;
mod norms;
mod not_finite;
mod optimizer;
mod products;
mod resize;
mod roi_align;
mod selection;
#[cfg(not(any(feature = "cuda", feature = "vulkan")))]
mod threads;
