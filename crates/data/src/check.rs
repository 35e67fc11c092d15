//! Checks of every sample of a dataset.

mod detection;
mod multi_task;

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use crate::dense::DenseDataset;
use crate::error::DataError;
use crate::io::read;
use crate::labels::{AbsentClasses, DenseTask, IGNORE, LabelCensus};
use crate::task::TaskKind;

pub use detection::{InstanceCount, InstanceReport, check_detection};
pub use multi_task::{TaskReport, check_multi_task};

const TASK: DenseTask = DenseTask::SemanticSegmentation;

/// The report on a dataset: its content and its problems.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetReport {
    /// Name of the dataset.
    pub dataset: String,
    /// The task of its samples.
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
    /// The objects; only for detection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<InstanceReport>,
    /// The labels of every task; only for several tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskReport>,
    /// Warnings about data that can be used.
    pub warnings: Vec<Warning>,
    /// Problems, in sample order.
    pub problems: Vec<Problem>,
}

/// Something that is not an error, but probably not intended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The message.
    pub message: String,
    /// How to fix it.
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
    /// The message.
    pub message: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    fn new(index: usize, id: String, error: &DataError) -> Self {
        Self {
            index,
            id,
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}

#[derive(Default)]
struct Tally {
    sizes: BTreeMap<(u32, u32), usize>,
    pixels: Vec<u64>,
    samples: Vec<usize>,
    turned: usize,
    problems: Vec<Problem>,
}

impl Tally {
    fn add(mut self, dataset: &dyn DenseDataset, index: usize) -> Self {
        let sample = match dataset.get(index, &[TASK]) {
            Ok(sample) => sample,
            Err(error) => {
                let problem = Problem::new(index, dataset.id(index), &error);
                self.problems.push(problem);
                return self;
            }
        };
        *self.sizes.entry(sample.image.dimensions()).or_default() += 1;
        self.turned += usize::from(is_turned(dataset.image_file(index)));
        let mut counts = [0u64; 256];
        let labels = sample.class_map(TASK).map(|map| &*map.data);
        for &label in labels.unwrap_or_default() {
            counts[usize::from(label)] += 1;
        }
        self.pixels.resize(256, 0);
        self.samples.resize(256, 0);
        for (label, count) in counts.into_iter().enumerate() {
            self.pixels[label] += count;
            self.samples[label] += usize::from(count > 0);
        }
        self
    }

    fn merge(mut self, other: Self) -> Self {
        for (size, samples) in other.sizes {
            *self.sizes.entry(size).or_default() += samples;
        }
        self.pixels.resize(256, 0);
        self.samples.resize(256, 0);
        for (sum, value) in self.pixels.iter_mut().zip(other.pixels) {
            *sum += value;
        }
        for (sum, value) in self.samples.iter_mut().zip(other.samples) {
            *sum += value;
        }
        self.turned += other.turned;
        self.problems.extend(other.problems);
        self
    }
}

/// Whether an image is stored in another orientation than it is read in.
fn is_turned(file: Option<&Path>) -> bool {
    file.is_some_and(|file| read::is_turned(file).unwrap_or(false))
}

/// Checks the semantic segmentation of every sample, on all cores; a problem in one sample does not stop the check.
pub fn check(dataset: &dyn DenseDataset) -> DatasetReport {
    let mut tally = (0..dataset.len())
        .into_par_iter()
        .fold(Tally::default, |tally, index| tally.add(dataset, index))
        .reduce(Tally::default, Tally::merge);
    tally.problems.sort_by_key(|problem| problem.index);
    let sizes = most_frequent_first(tally.sizes);
    let pixels = |class: usize| tally.pixels.get(class).copied().unwrap_or(0);
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let labelled: u64 = (0..usize::from(IGNORE)).map(pixels).sum();
    let ignored = pixels(usize::from(IGNORE));
    let names = dataset.classes(TASK).iter().enumerate();
    let mut census = LabelCensus::new(dataset.classes(TASK).iter().cloned());
    for (class, &count) in tally.pixels.iter().enumerate() {
        census.add(class, count);
    }
    DatasetReport {
        dataset: dataset.name().into(),
        task: TaskKind::Segmentation,
        samples: dataset.len(),
        readable: dataset.len() - tally.problems.len(),
        sizes,
        turned: tally.turned,
        warnings: census.absent().map(Warning::from).into_iter().collect(),
        labels: names
            .map(|(class, name)| LabelCount {
                class,
                name: name.clone(),
                samples: tally.samples.get(class).copied().unwrap_or(0),
                pixels: pixels(class),
                share: share(pixels(class), labelled),
            })
            .collect(),
        ignored_pixels: ignored,
        ignored_share: share(ignored, labelled + ignored),
        instances: None,
        tasks: Vec::new(),
        problems: tally.problems,
    }
}

/// Returns the image sizes (width and height), the most frequent first.
fn most_frequent_first(sizes: BTreeMap<(u32, u32), usize>) -> Vec<SizeCount> {
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
