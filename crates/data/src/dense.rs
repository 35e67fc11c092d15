//! Dense tasks: what is known of every pixel, and the way to a batch.
//!
//! A [`DenseCollection`] has [`DenseSample`]s: an image and the [`DenseLabels`](crate::DenseLabels) of every task;
//! segmentation is the case of one task. It is made of a [`DenseDataset`], which formats open and which reads
//! the labels of the tasks asked for and of no others, or of any dataset of Burn. A [`DenseLoader`] augments them
//! ([`AugmentConfig`]) or prepares them for evaluation ([`DenseEvaluation`]), and puts them side by side into a
//! [`DenseBatch`]. Every change of place moves the image and all labels together; what a change leaves
//! without a label is ignored by every task, never background.

mod augment;
mod batch;
mod collection;
mod dataset;
mod evaluation;
mod files;
mod geometry;
mod loader;
mod pairs;
mod parts;
mod sample;

pub use augment::AugmentConfig;
pub use batch::{DenseBatch, DenseTarget};
pub use collection::{DenseCollection, DenseMetadata};
pub use dataset::DenseDataset;
pub use evaluation::DenseEvaluation;
pub use files::{DenseFileDataset, DenseReader, ImageFile};
pub use loader::{DenseLoader, DensePipeline};
pub use pairs::{FileDataset, FilePair};
pub use parts::Part;
pub use sample::DenseSample;
