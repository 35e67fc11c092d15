//! The report on a dataset of segmentation.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::report::{DatasetReport, LabelCount, Problem, Warning, is_turned, most_frequent_first};
use crate::dense::DenseDataset;
use crate::labels::{DenseTask, IGNORE, LabelCensus};
use crate::task::TaskKind;

const TASK: DenseTask = DenseTask::SemanticSegmentation;

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
