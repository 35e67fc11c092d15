//! Datasets, transforms, loaders and synthetic scenes.
//!
//! From files to batches: a [`DatasetConfig`] opens a split of a dataset as a
//! [`SegmentationDataset`]; a [`SegmentationLoader`] reads its samples on worker threads, augments
//! them ([`AugmentConfig`]) or resizes them ([`EvaluationSize`]), normalises them
//! ([`Normalization`]) and yields [`SegmentationBatch`]es of plain vectors. The same for objects: a
//! [`DetectionDataset`], a [`DetectionLoader`], [`DetectionBatch`]es ([`detection`]). And for
//! several labels of every pixel: a [`MultiTaskDataset`], a [`MultiTaskLoader`], [`MultiTaskBatch`]es
//! ([`multi_task`]). [`check()`], [`check_detection()`] and [`check_multi_task()`] report on a whole
//! dataset. Nothing here knows of tensors or devices, nothing
//! prints, and wrong data is a [`DataError`], never a panic.

pub mod ade20k;
pub mod check;
pub mod classes;
pub mod clothing_co_parsing;
pub mod coco;
pub mod dataset;
pub mod datasets;
pub mod detection;
pub mod error;
pub mod folder;
pub mod label;
pub mod loader;
pub mod manifest;
pub mod mat;
pub mod multi_task;
pub mod normalize;
mod npy;
pub mod nyud_mt;
pub mod palette;
pub mod pascal_mt;
pub mod paths;
pub mod read;
pub mod red_kitchen;
pub mod scenes;
pub mod synthetic;
pub mod transform;
pub mod voc;
pub mod voc_detection;

pub use check::{Report, check, check_detection, check_multi_task};
pub use dataset::{SegmentationDataset, SegmentationSample, Split};
pub use datasets::{DatasetConfig, DatasetDescriptor, Task, table};
pub use detection::{
    DetectionAugmentConfig, DetectionBatch, DetectionDataset, DetectionLoader, DetectionSample,
    DetectionSizeConfig, DetectionTarget, Instance, Mask,
};
pub use error::{AnnotationFault, DataError, LabelFault};
pub use label::{IGNORE, LabelMap, LabelPolicy};
pub use loader::{
    BatchIterator, ImageBatch, Loader, LoaderConfig, Pipeline, SegmentationBatch,
    SegmentationLoader,
};
pub use multi_task::{
    BatchLabels, DenseLabels, DenseTask, DepthMap, MultiTaskAugmentConfig, MultiTaskBatch,
    MultiTaskDataset, MultiTaskLoader, MultiTaskPipeline, MultiTaskSample, NormalMap, VerticalAxis,
};
pub use normalize::Normalization;
pub use transform::{AugmentConfig, EvaluationSize, PhotometricConfig};
