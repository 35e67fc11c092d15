//! Datasets, transforms and loaders.
//!
//! From files to batches: a [`DatasetConfig`] opens a split of a dataset as a
//! [`SegmentationDataset`]; a [`SegmentationLoader`] reads its samples on worker threads, augments
//! them ([`AugmentConfig`]) or resizes them ([`EvaluationSize`]), normalises them
//! ([`Normalization`]) and yields [`DenseBatch`]es of plain vectors. The same for objects: a
//! [`DetectionDataset`], a [`DetectionLoader`], [`DetectionBatch`]es ([`detection`]). And for
//! several labels of every pixel: a [`MultiTaskDataset`], a [`MultiTaskLoader`] ([`multi_task`]). [`check()`], [`check_detection()`] and [`check_multi_task()`] report on a whole
//! dataset. Nothing here knows of tensors or devices, nothing
//! prints, and wrong data is a [`DataError`], never a panic.

mod batch;
pub mod check;
pub mod dataset;
pub mod dense;
pub mod detection;
pub mod error;
pub mod format;
pub mod formats;
mod input;
pub mod io;
pub mod labels;
pub mod loader;
pub mod multi_task;
pub mod normalize;
mod picture;
mod split;
pub mod table;
mod task;
pub mod transform;

pub use batch::{Batch, BatchItem, Prepared, SizeGroup};
pub use check::{Report, Warning, check, check_detection, check_multi_task};
pub use dataset::{SegmentationDataset, SegmentationSample};
pub use dense::{BatchLabels, DenseBatch, DenseEvaluation, DenseTarget};
pub use detection::{
    DetectionAugmentConfig, DetectionBatch, DetectionDataset, DetectionEvaluation, DetectionLoader,
    DetectionSample, DetectionSizeConfig, DetectionTarget, Instance, Mask,
};
pub use error::{AnnotationFault, DataError, FileFault, LabelFault};
pub use format::{DatasetDescriptor, DatasetFormat};
pub use formats::layout::images_by_stem;
pub use input::NetworkInput;
pub use io::{paths, read};
pub use labels::{
    AbsentClasses, DenseLabels, DenseTask, DepthMap, IGNORE, LabelCensus, LabelMap, LabelPolicy,
    LabelTable, NormalMap, VerticalAxis,
};
pub use loader::{BatchIterator, Loader, LoaderConfig, Pipeline, SegmentationLoader};
pub use multi_task::{
    MultiTaskAugmentConfig, MultiTaskDataset, MultiTaskLoader, MultiTaskPipeline, MultiTaskSample,
};
pub use normalize::Normalization;
pub use picture::Picture;
pub use split::Split;
pub use table::{DatasetConfig, table};
pub use task::Task;
pub use transform::{AugmentConfig, EvaluationSize, PhotometricConfig};
