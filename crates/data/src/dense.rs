//! Dense tasks: what is known of every pixel, and the way to a batch.
//!
//! A [`DenseDataset`] reads a [`DenseSample`]: an image and the [`DenseLabels`](crate::DenseLabels) of the tasks
//! asked for, and of no others; segmentation is the case of one task. A [`DenseLoader`] augments it
//! ([`AugmentConfig`]) or prepares it for evaluation ([`DenseEvaluation`]), and puts it beside others into a
//! [`DenseBatch`]. Every change of place moves the image and all labels together; what a change leaves
//! without a label is ignored by every task, never background.

mod augment;
mod batch;
mod dataset;
mod evaluation;
mod files;
mod geometry;
mod loader;
mod pairs;
mod sample;

pub use augment::AugmentConfig;
pub use batch::{BatchLabels, DenseBatch, DenseTarget};
pub use dataset::DenseDataset;
pub use evaluation::DenseEvaluation;
pub use files::{DenseFileDataset, DenseReader, ImageFile};
pub use loader::{DenseLoader, DensePipeline};
pub use pairs::{FileDataset, FilePair};
pub use sample::DenseSample;
