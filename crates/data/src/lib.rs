//! Datasets, transforms, loaders and synthetic scenes.
//!
//! From files to batches: a [`DatasetConfig`] opens a split of a dataset as a
//! [`SegmentationDataset`]; a [`SegmentationLoader`] reads its samples on worker threads, augments
//! them ([`AugmentConfig`]) or resizes them ([`EvaluationSize`]), normalises them
//! ([`Normalization`]) and yields [`SegmentationBatch`]es of plain vectors. The same for objects: a
//! [`DetectionDataset`], a [`DetectionLoader`], [`DetectionBatch`]es ([`detection`]). [`check()`] and
//! [`check_detection()`] report on a whole dataset. Nothing here knows of tensors or devices, nothing
//! prints, and wrong data is a [`DataError`], never a panic.

pub mod ade20k;
pub mod check;
pub mod classes;
pub mod coco;
pub mod dataset;
pub mod datasets;
pub mod detection;
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
pub mod voc_detection;

pub use check::{Report, check, check_detection};
pub use dataset::{SegmentationDataset, SegmentationSample, Split};
pub use datasets::{DatasetConfig, DatasetDescriptor, Task, table};
pub use detection::{
    DetectionAugmentConfig, DetectionBatch, DetectionDataset, DetectionLoader, DetectionSample,
    DetectionSizeConfig, DetectionTarget, Instance, Mask,
};
pub use error::{AnnotationFault, DataError};
pub use label::{IGNORE, LabelMap, LabelPolicy};
pub use loader::{
    BatchIterator, ImageBatch, Loader, LoaderConfig, Pipeline, SegmentationBatch,
    SegmentationLoader,
};
pub use normalize::Normalization;
pub use transform::{AugmentConfig, EvaluationSize, PhotometricConfig};
