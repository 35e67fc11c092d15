//! What a report says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::detection::Skipped;
use crate::error::DataError;
use crate::io::read;
use crate::labels::{AbsentClasses, DenseTask};
use crate::task::TaskKind;

/// The report on a dataset: its content and its problems.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetReport {
    /// Name of the dataset.
    pub dataset: String,
    /// What its samples hold.
    pub task: TaskKind,
    /// Number of samples.
    pub samples: usize,
    /// Number of samples without a problem.
    pub readable: usize,
    /// Image sizes with their numbers of samples, the most frequent first.
    pub sizes: Vec<SizeCount>,
    /// Number of images whose EXIF orientation rotates them on reading.
    pub turned: usize,
    /// Number of pixels of every class, in label order; only for segmentation.
    pub labels: Vec<LabelCount>,
    /// Number of pixels without a class.
    pub ignored_pixels: u64,
    /// Share of the pixels without a class.
    pub ignored_share: f64,
    /// The objects; of detection alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<InstanceReport>,
    /// The labels of every task; only for several tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskReport>,
    /// What can be used and is worth a look.
    pub warnings: Vec<Warning>,
    /// What is wrong, in sample order.
    pub problems: Vec<Problem>,
}

/// Something that is not an error, but probably not intended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What it is.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<AbsentClasses> for Warning {
    fn from(absent: AbsentClasses) -> Self {
        Self {
            message: absent.to_string(),
            hint: absent.hint(),
        }
    }
}

/// An image size and its number of samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizeCount {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Number of samples.
    pub samples: usize,
}

/// A class and its pixels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelCount {
    /// Index of the class.
    pub class: usize,
    /// Name of the class.
    pub name: String,
    /// Number of samples in which it occurs.
    pub samples: usize,
    /// Number of pixels.
    pub pixels: u64,
    /// Share of the pixels that have a class.
    pub share: f64,
}

/// A sample that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Index of the sample.
    pub index: usize,
    /// Identifier of the sample.
    pub id: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    pub(super) fn new(index: usize, id: String, error: &DataError) -> Self {
        Self {
            index,
            id,
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}

/// The objects of a dataset's readable samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceReport {
    /// Number of objects.
    pub instances: u64,
    /// Number of objects with a mask.
    pub with_mask: u64,
    /// Number of objects with an empty mask.
    pub empty_masks: u64,
    /// Number of crowds.
    pub crowds: u64,
    /// Number of objects marked as difficult.
    pub difficult: u64,
    /// Number of samples without an object.
    pub empty: usize,
    /// Number of objects of every class, by index.
    pub classes: Vec<InstanceCount>,
    /// What was left out.
    pub skipped: Skipped,
}

/// A class and its objects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceCount {
    /// Index of the class.
    pub class: usize,
    /// Name of the class.
    pub name: String,
    /// Number of samples in which it occurs.
    pub samples: usize,
    /// Number of objects.
    pub instances: u64,
    /// Share of all objects.
    pub share: f64,
}

/// The labels of one task in the readable samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskReport {
    /// The task.
    pub task: DenseTask,
    /// Number of samples whose labels could be read.
    pub samples: usize,
    /// Number of samples without a label file.
    pub missing: usize,
    /// The first such file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_missing: Option<PathBuf>,
    /// Number of samples in which no pixel has a label.
    pub empty: usize,
    /// Number of pixels with a label.
    pub labelled_pixels: u64,
    /// Share of the pixels with a label.
    pub labelled_share: f64,
    /// Number of pixels of every class, in label order; empty for normals and depth.
    pub labels: Vec<LabelCount>,
    /// Minimum, mean and maximum depth; `None` for other tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<[f64; 3]>,
}

/// Whether an image is stored in another orientation than it is read in.
pub(super) fn is_turned(file: Option<&Path>) -> bool {
    file.is_some_and(|file| read::is_turned(file).unwrap_or(false))
}

/// Returns the image sizes (width and height), the most frequent first.
pub(super) fn most_frequent_first(sizes: BTreeMap<(u32, u32), usize>) -> Vec<SizeCount> {
    let count = |((width, height), samples)| SizeCount {
        width,
        height,
        samples,
    };
    let mut sizes: Vec<SizeCount> = sizes.into_iter().map(count).collect();
    // Stable: equal counts stay in order of size.
    sizes.sort_by_key(|size| std::cmp::Reverse(size.samples));
    sizes
}
