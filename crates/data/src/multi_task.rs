//! Several dense tasks per image: what is known of every pixel, and the way to a batch.
//!
//! A [`MultiTaskDataset`] reads a [`MultiTaskSample`]: an image and the [`DenseLabels`](crate::DenseLabels) of the tasks
//! asked for, and of no others. A [`MultiTaskLoader`] augments it, and puts it beside others into a
//! [`DenseBatch`](crate::DenseBatch). Every change of place moves the image and all labels together; what a change
//! leaves without a label is ignored by every task, never background.

mod dataset;
mod files;
pub mod geometry;
mod loader;
mod segmentation;
mod transform;

pub use dataset::{MultiTaskDataset, MultiTaskSample};
pub use files::{DenseFileDataset, DenseReader, ImageFile};
pub use loader::{MultiTaskLoader, MultiTaskPipeline};
pub(crate) use segmentation::SegmentationView;
pub use transform::MultiTaskAugmentConfig;
