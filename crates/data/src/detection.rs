//! Data for object detection and instance segmentation: boxes, masks and batches.
//!
//! A [`DetectionCollection`] holds [`DetectionSample`]s, each an image and its [`Instance`]s. It is created
//! from a [`DetectionDataset`], which formats open, or from any dataset of Burn. A [`DetectionLoader`] resizes
//! images with their aspect ratio, flips them, and collects them into a [`DetectionBatch`]. Boxes are
//! transformed with the image. Masks keep the resolution of their annotation, and a [`DetectionTarget`] maps
//! boxes back to it.
//!
//! Coordinates are continuous: pixel `i` covers `[i, i + 1)`, a box over the whole image is `[0, 0, width,
//! height]`, and scaling multiplies.

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
pub use collection::{DetectionCollection, DetectionMetadata};
pub use evaluation::DetectionEvaluation;
pub use files::{AnnotatedDataset, AnnotatedImage};
pub use loader::{DetectionLoader, DetectionPipeline};
pub use mask::Mask;
pub use sample::{DetectionDataset, DetectionSample, Instance};
pub use skipped::{Skipped, SkippedKind};
pub use transform::{DetectionAugmentConfig, DetectionSizeConfig, PreparedSample};
