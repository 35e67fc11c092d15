//! Datasets, transforms, loaders and synthetic scenes.
//!
//! From files to batches: a [`DatasetConfig`] opens a split of a dataset as a
//! [`SegmentationDataset`]; a [`SegmentationLoader`] reads its samples on worker threads, augments
//! them ([`AugmentConfig`]) or resizes them ([`EvaluationSize`]), normalises them
//! ([`Normalization`]) and yields [`SegmentationBatch`]es of plain vectors. [`check()`] reports on a
//! whole dataset. Nothing here knows of tensors or devices, nothing prints, and wrong data is a
//! [`DataError`], never a panic.

pub mod ade20k;
pub mod check;
pub mod classes;
pub mod dataset;
pub mod datasets;
pub mod error;
pub mod folder;
pub mod label;
pub mod loader;
pub mod manifest;
pub mod normalize;
pub mod palette;
pub mod paths;
pub mod read;
pub mod scenes;
pub mod synthetic;
pub mod transform;
pub mod voc;

pub use check::{Report, check};
pub use dataset::{SegmentationDataset, SegmentationSample, Split};
pub use datasets::{DatasetConfig, DatasetDescriptor, table};
pub use error::DataError;
pub use label::{IGNORE, LabelMap, LabelPolicy};
pub use loader::{BatchIterator, LoaderConfig, SegmentationBatch, SegmentationLoader};
pub use normalize::Normalization;
pub use transform::{AugmentConfig, EvaluationSize, PhotometricConfig};
