//! Errors of datasets, augmentations and loaders.
//!
//! Every message names the file or key, the value found and the expected value; [`DataError::hint`] adds a
//! suggestion for the `hint:` line of the command line.

mod annotation;
mod file;
mod hint;
mod labels;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::task::{DenseTask, TaskKind};

pub use annotation::AnnotationFault;
pub use file::{FileFault, MAXIMUM_PIXELS_VARIABLE};
pub use labels::LabelFault;

/// An error of the data crate.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum DataError {
    /// The root folder of a dataset, or a folder of its layout, does not exist.
    #[error(
        "dataset folder {} does not exist (nearest existing folder: {}); expected layout of `{format}`:\n{layout}",
        path.display(), nearest.display()
    )]
    MissingFolder {
        /// The folder that was looked for.
        path: PathBuf,
        /// The closest ancestor of `path` that exists.
        nearest: PathBuf,
        /// Name of the dataset format.
        format: &'static str,
        /// The folders and files the format expects.
        layout: &'static str,
    },

    /// A file that the layout or the configuration names does not exist.
    #[error("{what} {} does not exist", path.display())]
    MissingFile {
        /// The kind of file, such as `split list`.
        what: &'static str,
        /// The file that was looked for.
        path: PathBuf,
    },

    /// A path uses an environment variable that is not set.
    #[error("path {} uses the environment variable `{variable}`, which is not set", path.display())]
    UnsetVariable {
        /// The path as configured.
        path: PathBuf,
        /// Name of the variable.
        variable: String,
    },

    /// An image has no label mask.
    #[error(
        "image {} has no mask: expected {} ({missing} of {total} images have none)",
        image.display(), mask.display()
    )]
    MissingMask {
        /// The image.
        image: PathBuf,
        /// The mask that was looked for.
        mask: PathBuf,
        /// Number of images without a mask.
        missing: usize,
        /// Number of images in the split.
        total: usize,
    },

    /// A mask has no image, in a layout where the folder decides what belongs to a split.
    #[error(
        "mask {} has no image: expected one of the same stem in {} ({missing} of {total} masks have none)",
        mask.display(), images.display()
    )]
    MaskWithoutImage {
        /// The mask.
        mask: PathBuf,
        /// The folder of the images.
        images: PathBuf,
        /// Number of masks without an image.
        missing: usize,
        /// Number of masks in the folder.
        total: usize,
    },

    /// A split list names a sample that has no image.
    #[error(
        "sample `{id}`, listed in {}, has no image: expected {}",
        list.display(), image.display()
    )]
    MissingImage {
        /// Identifier of the sample.
        id: String,
        /// The split list.
        list: PathBuf,
        /// The image that was looked for.
        image: PathBuf,
    },

    /// Two files or two lines of a split list are the same sample.
    #[error("sample `{id}` occurs twice: {first} and {second}; every sample must have one image")]
    DuplicateSample {
        /// Identifier of the sample.
        id: String,
        /// Where it occurs first.
        first: String,
        /// Where it occurs again.
        second: String,
    },

    /// A split holds no samples.
    #[error("split `{split}` is empty: no {expected} in {}", path.display())]
    EmptySplit {
        /// Name of the split.
        split: &'static str,
        /// The expected files.
        expected: &'static str,
        /// The folder or file that was searched.
        path: PathBuf,
    },

    /// A dataset given to a loader holds no samples.
    #[error("dataset `{dataset}` has no samples; expected at least one")]
    EmptyDataset {
        /// Name of the dataset.
        dataset: String,
    },

    /// The configuration does not define the samples of a split.
    #[error(
        "split `{split}` is not defined: set `{key}`, or write `{{split}}` in `images` and `masks`"
    )]
    UndefinedSplit {
        /// Name of the split.
        split: &'static str,
        /// The configuration key that defines it.
        key: &'static str,
    },

    /// A mask and its image differ in size.
    #[error(
        "mask {} is {mask_width}x{mask_height} but its image {} is {image_width}x{image_height} (width x height); they must agree",
        mask.display(), image.display()
    )]
    SizeMismatch {
        /// The image.
        image: PathBuf,
        /// Width of the image in pixels.
        image_width: u32,
        /// Height of the image in pixels.
        image_height: u32,
        /// The mask.
        mask: PathBuf,
        /// Width of the mask in pixels.
        mask_width: u32,
        /// Height of the mask in pixels.
        mask_height: u32,
    },

    /// A mask holds a value that is neither a class nor the ignore value.
    #[error(
        "mask {}: label {value} at pixel x={x}, y={y} is out of range for {classes} classes; \
         under the label policy `{policy}` allowed values are {allowed}",
        path.display()
    )]
    LabelOutOfRange {
        /// The mask.
        path: PathBuf,
        /// The value found, as stored.
        value: u32,
        /// Column of the first such pixel.
        x: u32,
        /// Row of the first such pixel.
        y: u32,
        /// Number of classes of the dataset.
        classes: usize,
        /// The label policy in words.
        policy: String,
        /// The allowed values in words.
        allowed: String,
    },

    /// A label policy does not fit the class list, or contradicts itself.
    #[error("labels: {reason}")]
    LabelPolicy {
        /// The reason.
        reason: String,
    },

    /// An annotation file has an error.
    #[error("{}: {fault}", path.display())]
    Annotations {
        /// The annotation file.
        path: PathBuf,
        /// The reason.
        fault: AnnotationFault,
    },

    /// An image that an annotation file lists does not exist.
    #[error(
        "image {image_id} of {} does not exist: expected {} ({missing} of {total} images do not)",
        annotations.display(), image.display()
    )]
    MissingListedImage {
        /// Identifier of the image.
        image_id: u64,
        /// The annotation file.
        annotations: PathBuf,
        /// The image that was looked for.
        image: PathBuf,
        /// Number of images that do not exist.
        missing: usize,
        /// Number of images in the split.
        total: usize,
    },

    /// A dataset format does not support the requested task.
    #[error(
        "`format` = \"{format}\" is a {} dataset; expected one for {expected}: {}",
        list(found, " and "), known.join(", ")
    )]
    WrongTask {
        /// Name of the dataset format.
        format: &'static str,
        /// The tasks it supports.
        found: &'static [TaskKind],
        /// The requested task.
        expected: TaskKind,
        /// The formats that support it.
        known: Vec<&'static str>,
    },

    /// A dataset does not have labels of the requested task.
    #[error(
        "dataset `{dataset}` has no labels of `{task}`; it has labels of {}",
        list(offered, ", ")
    )]
    TaskNotOffered {
        /// Name of the dataset.
        dataset: String,
        /// The requested task.
        task: DenseTask,
        /// The tasks it has labels of.
        offered: Vec<DenseTask>,
    },

    /// The labels of a task in a sample are invalid.
    #[error("sample `{id}`, {task}: {fault}")]
    Labels {
        /// Identifier of the sample.
        id: String,
        /// The task.
        task: DenseTask,
        /// The reason.
        fault: LabelFault,
    },

    /// An image or mask cannot be decoded.
    #[error("{} cannot be decoded: {reason}; expected a complete {expected} file", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
        /// The expected kinds of file.
        expected: &'static str,
    },

    /// An image, a mask or a list is not supported or has invalid content.
    #[error("{} {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        fault: FileFault,
    },

    /// A file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: Arc<io::Error>,
    },

    /// The class list does not fit the label policy, the palette or the range of labels.
    #[error("class list of {found} names: {expected}")]
    ClassCount {
        /// Number of names given.
        found: usize,
        /// The expected number, and why.
        expected: String,
    },

    /// A built-in class list or a class file that does not exist.
    #[error("classes = {name:?}: neither a built-in class list ({}) nor the file {}", known.join(", "), path.display())]
    UnknownClassList {
        /// The value given.
        name: String,
        /// Names of the built-in class lists.
        known: Vec<&'static str>,
        /// The file that was looked for.
        path: PathBuf,
    },

    /// The folder has its own class list, but the configuration does not state which one to use.
    #[error(
        "{} exists, but `classes` is not set and defaults to the {default} classes",
        path.display()
    )]
    AmbiguousClasses {
        /// The class file found.
        path: PathBuf,
        /// Name of the default class list.
        default: &'static str,
    },

    /// A class name occurs twice.
    #[error("class list: `{name}` is both class {first} and class {second}; names must be unique")]
    DuplicateClass {
        /// The name.
        name: String,
        /// Index of its first occurrence.
        first: usize,
        /// Index of its second occurrence.
        second: usize,
    },

    /// A configuration value is outside of its range.
    #[error("`{key}` = {value}: expected {expected}")]
    InvalidValue {
        /// The configuration key.
        key: &'static str,
        /// The value found.
        value: String,
        /// The expected values.
        expected: String,
    },

    /// A sample index beyond the end of the dataset.
    #[error("sample index {index} is out of range: dataset `{dataset}` has {len} samples")]
    IndexOutOfRange {
        /// Name of the dataset.
        dataset: String,
        /// The requested index.
        index: usize,
        /// Number of samples.
        len: usize,
    },

    /// An object of a dataset does not fit its image or its classes.
    #[error("sample `{id}`, annotation {instance}: {reason}")]
    InconsistentInstance {
        /// Identifier of the sample.
        id: String,
        /// Identifier of the annotation.
        instance: u64,
        /// The reason.
        reason: String,
    },

    /// The length of a bitmap does not match its image.
    #[error("a mask of {found} values for an image of {width}x{height}; expected one per pixel")]
    MaskLength {
        /// Width of the image in pixels.
        width: u32,
        /// Height of the image in pixels.
        height: u32,
        /// Number of values.
        found: usize,
    },

    /// An image cannot be resized.
    #[error(
        "sample `{id}` of {width}x{height} cannot be resized to {target_width}x{target_height}: {reason}"
    )]
    Resize {
        /// Identifier of the sample.
        id: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The requested width.
        target_width: u32,
        /// The requested height.
        target_height: u32,
        /// The message of the resizer.
        reason: String,
    },

    /// A worker thread of a loader failed because of a bug, not an error in the data.
    #[error(
        "a loader worker stopped while preparing batch {batch}: {reason}; this is a bug, not a problem of the data"
    )]
    Worker {
        /// Index of the batch within the epoch.
        batch: usize,
        /// The known cause.
        reason: String,
    },

    /// A manifest built into the crate cannot be read.
    #[error("built-in manifest `{name}`: {reason}; this is a bug, not a problem of the data")]
    Manifest {
        /// Name of the manifest.
        name: String,
        /// The reason.
        reason: String,
    },
}

impl DataError {
    /// Creates [`DataError::Read`].
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_path_buf(),
            source: Arc::new(source),
        }
    }
}

/// Joins the names of tasks.
fn list(tasks: &[impl ToString], separator: &str) -> String {
    let names: Vec<String> = tasks.iter().map(ToString::to_string).collect();
    names.join(separator)
}
