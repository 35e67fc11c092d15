//! Object detection and instance segmentation: boxes, masks, and the way to a batch.
//!
//! A [`DetectionCollection`] has [`DetectionSample`]s: an image and its [`Instance`]s; it is made of a
//! [`DetectionDataset`], which formats open, or of any dataset of Burn. A
//! [`DetectionLoader`] resizes it, keeping its shape, mirrors it, and puts it beside others into a
//! [`DetectionBatch`]. Boxes move with the image. Masks do not: they stay at the resolution they
//! were drawn at, and a [`DetectionTarget`] knows the way back to it.
//!
//! Coordinates are those of the edges between pixels: pixel `i` covers `[i, i + 1)`, a box over
//! the whole image is `[0, 0, width, height]`, and scaling multiplies.

mod annotation;
mod batch;
mod collection;
mod evaluation;
mod files;
mod loader;
mod mask;
mod sample;
mod skipped;
mod transform;

pub use annotation::{Annotation, Shape};
pub use batch::{DetectionBatch, DetectionTarget};
pub use collection::{DetectionAbout, DetectionCollection};
pub use evaluation::DetectionEvaluation;
pub use files::{AnnotatedDataset, AnnotatedImage};
pub use loader::{DetectionLoader, DetectionPipeline};
pub use mask::Mask;
pub use sample::{DetectionDataset, DetectionSample, Instance};
pub use skipped::{Skipped, SkippedKind};
pub use transform::{DetectionAugmentConfig, DetectionSizeConfig, PreparedSample};
