//! What a report says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::detection::Skipped;
use crate::error::DataError;
use crate::io::read;
use crate::labels::{AbsentClasses, DenseTask};
use crate::task::Task;

/// What a dataset holds and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the dataset.
    pub dataset: String,
    /// What its samples hold.
    pub task: Task,
    /// Number of samples.
    pub samples: usize,
    /// Number of samples without a problem.
    pub readable: usize,
    /// How often every image size occurs, the most frequent first.
    pub sizes: Vec<SizeCount>,
    /// Number of images that are stored in another orientation than they are shown and read in.
    pub turned: usize,
    /// How many pixels every class has, in label order; of segmentation alone.
    pub labels: Vec<LabelCount>,
    /// Number of pixels without a class.
    pub ignored_pixels: u64,
    /// Share of the pixels without a class.
    pub ignored_share: f64,
    /// The objects; of detection alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<InstanceReport>,
    /// The labels of every task; of several tasks alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskReport>,
    /// What can be used and is worth a look.
    pub warnings: Vec<Warning>,
    /// What is wrong, in sample order.
    pub problems: Vec<Problem>,
}

/// Something that is no fault, and probably not meant.
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

/// The objects of a dataset, those of its readable samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceReport {
    /// Number of objects.
    pub instances: u64,
    /// Number of objects with a mask.
    pub with_mask: u64,
    /// Number of objects whose mask has no pixel.
    pub empty_masks: u64,
    /// Number of crowds.
    pub crowds: u64,
    /// Number of objects marked as difficult.
    pub difficult: u64,
    /// Number of samples without an object.
    pub empty: usize,
    /// How many objects every class has, by index.
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

/// The labels of one task, those of its readable samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskReport {
    /// The task.
    pub task: DenseTask,
    /// Number of samples whose labels could be read.
    pub samples: usize,
    /// Number of samples without a file of labels.
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
    /// How many pixels every class has, in label order; empty for normals and depth.
    pub labels: Vec<LabelCount>,
    /// Smallest, mean and largest depth; none for other tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<[f64; 3]>,
}

/// Whether an image that was read is stored in another orientation.
pub(super) fn is_turned(file: Option<&Path>) -> bool {
    file.is_some_and(|file| read::is_turned(file).unwrap_or(false))
}

/// Image sizes, width and height, with the most frequent one first.
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
