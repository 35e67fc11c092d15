//! What can be wrong with a dataset, an augmentation or a loader.
//!
//! Every message names the file or key, the value found and the value that would be right;
//! [`DataError::hint`] adds what to do about it, for the `hint:` line of the command line.

mod annotation;
mod file;
mod hint;
mod labels;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::task::{DenseTask, Task};

pub use annotation::AnnotationFault;
pub use file::FileFault;
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
        /// What the file is, such as `split list`.
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

    /// Two files or two lines of a split list stand for the same sample.
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
        /// What was looked for.
        expected: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },

    /// A dataset given to a loader holds no samples.
    #[error("dataset `{dataset}` has no samples; expected at least one")]
    EmptyDataset {
        /// Name of the dataset.
        dataset: String,
    },

    /// Nothing says which samples belong to a split.
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

    /// A label policy that names classes does not fit the class list, or contradicts itself.
    #[error("labels: {reason}")]
    LabelPolicy {
        /// What is wrong.
        reason: String,
    },

    /// An annotation file does not hold what it should.
    #[error("{}: {fault}", path.display())]
    Annotations {
        /// The annotation file.
        path: PathBuf,
        /// What is wrong with it.
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

    /// A dataset was asked for what its format does not hold.
    #[error(
        "`format` = \"{format}\" is a {} dataset; expected one for {expected}: {}",
        list(found, " and "), known.join(", ")
    )]
    WrongTask {
        /// Name of the dataset format.
        format: &'static str,
        /// What it holds.
        found: &'static [Task],
        /// What was asked for.
        expected: Task,
        /// The formats that hold it.
        known: Vec<&'static str>,
    },

    /// A dataset of several tasks was asked for one that it does not offer.
    #[error(
        "dataset `{dataset}` has no labels of `{task}`; it has labels of {}",
        list(offered, ", ")
    )]
    TaskNotOffered {
        /// Name of the dataset.
        dataset: String,
        /// The task asked for.
        task: DenseTask,
        /// The tasks it offers.
        offered: Vec<DenseTask>,
    },

    /// The labels of one task of a sample cannot be used.
    #[error("sample `{id}`, {task}: {fault}")]
    Labels {
        /// Identifier of the sample.
        id: String,
        /// The task.
        task: DenseTask,
        /// What is wrong with them.
        fault: LabelFault,
    },

    /// An image or mask cannot be decoded.
    #[error("{} cannot be decoded: {reason}; expected a complete {expected} file", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The expected kinds of file.
        expected: &'static str,
    },

    /// An image, a mask or a list is none that is read.
    #[error("{} {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
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
        /// What would be right, and why.
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

    /// The folder brings its own class list but the configuration does not say which one to use.
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
        /// What would be right.
        expected: String,
    },

    /// A sample index beyond the end of the dataset.
    #[error("sample index {index} is out of range: dataset `{dataset}` has {len} samples")]
    IndexOutOfRange {
        /// Name of the dataset.
        dataset: String,
        /// The index asked for.
        index: usize,
        /// Number of samples.
        len: usize,
    },

    /// A dataset returned an object that does not fit its image or its classes.
    #[error("sample `{id}`, annotation {instance}: {reason}")]
    InconsistentInstance {
        /// Identifier of the sample.
        id: String,
        /// Identifier of the annotation.
        instance: u64,
        /// What is wrong.
        reason: String,
    },

    /// A bitmap does not cover its image exactly.
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
        /// Width asked for.
        target_width: u32,
        /// Height asked for.
        target_height: u32,
        /// What the resizer said.
        reason: String,
    },

    /// A loader's worker thread failed in a way that is not an error of the data.
    #[error(
        "a loader worker stopped while preparing batch {batch}: {reason}; this is a bug, not a problem of the data"
    )]
    Worker {
        /// Index of the batch within the epoch.
        batch: usize,
        /// What is known.
        reason: String,
    },

    /// A manifest built into the crate cannot be read.
    #[error("built-in manifest `{name}`: {reason}; this is a bug, not a problem of the data")]
    Manifest {
        /// Name of the manifest.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl DataError {
    /// A file or folder that cannot be read.
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_path_buf(),
            source: Arc::new(source),
        }
    }
}

/// Several tasks, in words.
fn list(tasks: &[impl ToString], separator: &str) -> String {
    let names: Vec<String> = tasks.iter().map(ToString::to_string).collect();
    names.join(separator)
}
