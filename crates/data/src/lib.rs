//! Datasets, transforms and loaders.
//!
//! From files to batches: a [`DatasetConfig`] opens a split of a dataset as a [`DenseDataset`], and a
//! [`DenseCollection`] is created from it and the requested tasks. A [`DenseLoader`] reads its samples on
//! worker threads, augments them ([`AugmentConfig`]) or resizes them ([`EvaluationSize`]), normalises them
//! ([`Normalization`]) and yields [`DenseBatch`]es of plain vectors ([`dense`]). Segmentation is the case of
//! one task. Detection has the corresponding types: [`DetectionDataset`], [`DetectionCollection`],
//! [`DetectionLoader`] and [`DetectionBatch`] ([`detection`]). A collection can also be created from any
//! `Dataset` of [`burn_dataset`], and is one itself. [`check()`], [`check_detection()`] and
//! [`check_multi_task()`] report on a whole dataset. This crate does not depend on tensors or devices and does
//! not print. Invalid data is a [`DataError`], never a panic.

mod batch;
pub mod check;
mod collection;
pub mod dense;
pub mod detection;
pub mod error;
pub mod format;
pub mod formats;
mod input;
pub mod io;
pub mod labels;
pub mod loader;
mod movable;
pub mod normalize;
mod picture;
mod plane;
mod split;
pub mod table;
mod task;
mod text;
pub mod transform;

pub use batch::{Batch, BatchItem, Prepared, SizeGroup};
pub use burn_dataset;
pub use check::{DatasetReport, Warning, check, check_detection, check_multi_task};
pub use collection::{Collection, Metadata};
pub use dense::{
    AugmentConfig, DenseBatch, DenseCollection, DenseDataset, DenseEvaluation, DenseLoader,
    DenseMetadata, DensePipeline, DenseSample, DenseTarget, Part,
};
pub use detection::{
    DetectionAugmentConfig, DetectionBatch, DetectionCollection, DetectionDataset,
    DetectionEvaluation, DetectionLoader, DetectionMetadata, DetectionSample, DetectionSizeConfig,
    DetectionTarget, Instance, Mask,
};
pub use error::{AnnotationFault, DataError, FileFault, LabelFault};
pub use format::{DatasetDescriptor, DatasetFormat};
pub use formats::layout::images_by_stem;
pub use input::NetworkInput;
pub use io::names::{IMAGE_EXTENSIONS, OTHER_EXTENSIONS, named_stem};
pub use io::{paths, read};
pub use labels::{
    AbsentClasses, BatchLabels, DenseLabels, DenseTask, DepthMap, IGNORE, LabelCensus, LabelKind,
    LabelMap, LabelPolicy, LabelTable, NormalMap, VerticalAxis,
};
pub use loader::{BatchIterator, Loader, LoaderConfig, Pipeline};
pub use movable::Movable;
pub use normalize::Normalization;
pub use picture::Picture;
pub use split::Split;
pub use table::{DatasetConfig, table};
pub use task::TaskKind;
pub use transform::{EvaluationSize, PhotometricConfig, SlideConfig, Window};
