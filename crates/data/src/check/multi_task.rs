//! Checks of a dataset for several tasks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::report::{
    DatasetReport, LabelCount, Problem, TaskReport, Warning, is_turned, most_frequent_first,
};
use crate::dense::{DenseDataset, DenseMetadata, DenseSample};
use crate::error::{DataError, LabelFault};
use crate::labels::{DenseLabels, DenseTask, IGNORE, LabelCensus, LabelTally};
use crate::task::TaskKind;

#[derive(Default)]
struct TaskTally {
    samples: usize,
    missing: usize,
    first_missing: Option<(usize, PathBuf)>,
    empty: usize,
    pixels: u64,
    labelled: u64,
    labels: LabelTally,
}

#[derive(Default)]
struct Tally {
    sizes: BTreeMap<(u32, u32), usize>,
    tasks: BTreeMap<DenseTask, TaskTally>,
    problems: Vec<Problem>,
    turned: usize,
    /// Samples without a file of a task, which are problems unless no sample has one.
    missing: Vec<(DenseTask, Problem)>,
}

impl Tally {
    fn add(mut self, dataset: &dyn DenseDataset, about: &DenseMetadata, index: usize) -> Self {
        let read = |tasks: &[DenseTask]| -> Result<DenseSample, DataError> {
            let sample = dataset.get(index, tasks)?;
            about.check(&sample)?;
            Ok(sample)
        };
        let whole = read(dataset.tasks());
        // What is wrong with one task does not hide the others.
        let parts = match whole {
            Ok(sample) => vec![Ok(sample)],
            Err(_) => match read(&[]) {
                Err(error) => vec![Err((None, error))],
                Ok(image) => {
                    let tasks = dataset.tasks().iter();
                    let parts = tasks.map(|&task| {
                        let part = read(&[task]);
                        part.map_err(|error| (Some(task), error))
                    });
                    std::iter::once(Ok(image)).chain(parts).collect()
                }
            },
        };
        for (number, part) in parts.into_iter().enumerate() {
            match part {
                Ok(sample) => {
                    if number == 0 {
                        self.turned += usize::from(is_turned(dataset.image_file(index)));
                        *self.sizes.entry(sample.image.dimensions()).or_default() += 1;
                    }
                    for (task, labels) in sample.labels {
                        self.tasks.entry(task).or_default().count(&labels);
                    }
                }
                Err((task, error)) => self.fail(dataset, index, task, &error),
            }
        }
        self
    }

    fn fail(
        &mut self,
        dataset: &dyn DenseDataset,
        index: usize,
        task: Option<DenseTask>,
        error: &DataError,
    ) {
        let problem = Problem::new(index, dataset.id(index), error);
        let fault = match error {
            DataError::Labels { fault, .. } => Some(fault),
            _ => None,
        };
        let (Some(task), Some(LabelFault::Missing { path, .. })) = (task, fault) else {
            return self.problems.push(problem);
        };
        let tally = self.tasks.entry(task).or_default();
        tally.missing += 1;
        tally.keep_first(Some((index, path.clone())));
        self.missing.push((task, problem));
    }

    fn merge(mut self, other: Self) -> Self {
        for (size, samples) in other.sizes {
            *self.sizes.entry(size).or_default() += samples;
        }
        for (task, tally) in other.tasks {
            self.tasks.entry(task).or_default().merge(tally);
        }
        self.turned += other.turned;
        self.problems.extend(other.problems);
        self.missing.extend(other.missing);
        self
    }
}

impl TaskTally {
    fn count(&mut self, labels: &DenseLabels) {
        self.samples += 1;
        let labelled = labels.labelled() as u64;
        self.pixels += labels.len() as u64;
        self.labelled += labelled;
        self.empty += usize::from(labelled == 0);
        labels.count(&mut self.labels);
    }

    fn keep_first(&mut self, other: Option<(usize, PathBuf)>) {
        let both = self.first_missing.take().into_iter().chain(other);
        self.first_missing = both.min_by_key(|(index, _)| *index);
    }

    fn merge(&mut self, other: Self) {
        self.samples += other.samples;
        self.missing += other.missing;
        self.keep_first(other.first_missing);
        self.empty += other.empty;
        self.pixels += other.pixels;
        self.labelled += other.labelled;
        self.labels.merge(other.labels);
    }

    fn report(self, dataset: &dyn DenseDataset, task: DenseTask) -> TaskReport {
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let names = (0..IGNORE).zip(dataset.classes(task));
        let labels = names.map(|(class, name)| {
            let (samples, pixels) = self.labels.classes.get(&class).copied().unwrap_or_default();
            LabelCount {
                class: class.into(),
                name: name.clone(),
                samples,
                pixels,
                share: share(pixels, self.labelled),
            }
        });
        TaskReport {
            task,
            labels: labels.collect(),
            samples: self.samples,
            missing: self.missing,
            first_missing: self.first_missing.map(|(_, path)| path),
            empty: self.empty,
            labelled_pixels: self.labelled,
            labelled_share: share(self.labelled, self.pixels),
            depth: self.labels.depth.map(|[smallest, sum, largest]| {
                [smallest, sum / self.labelled.max(1) as f64, largest]
            }),
        }
    }
}

/// A warning about the classes of a labelled task that never occur.
fn absent_classes(task: &TaskReport) -> Option<Warning> {
    let mut census = LabelCensus::new(task.labels.iter().map(|label| label.name.clone()));
    for label in &task.labels {
        census.add(label.class, label.pixels);
    }
    let absent = census.absent().filter(|_| task.samples > 0)?;
    Some(Warning {
        message: format!("{}: {absent}", task.task),
        hint: None,
    })
}

/// Checks the labels of every task in every sample, on all cores; a problem in one sample or task does not stop
/// the check.
///
/// A task without any label file is reported as missing and not as a problem, since it may not be needed.
pub fn check_multi_task(dataset: &dyn DenseDataset) -> DatasetReport {
    let about = DenseMetadata::of(dataset, dataset.tasks());
    let mut tally = (0..dataset.len())
        .into_par_iter()
        .fold(Tally::default, |tally, index| {
            tally.add(dataset, &about, index)
        })
        .reduce(Tally::default, Tally::merge);
    let absent: Vec<DenseTask> = tally
        .tasks
        .iter()
        .filter(|(_, task)| task.missing == dataset.len())
        .map(|(&task, _)| task)
        .collect();
    let partly = tally.missing.into_iter();
    let partly = partly.filter(|(task, _)| !absent.contains(task));
    tally.problems.extend(partly.map(|(_, problem)| problem));
    tally.problems.sort_by_key(|problem| problem.index);
    let mut unusable: Vec<usize> = tally.problems.iter().map(|p| p.index).collect();
    unusable.dedup();
    let tasks = dataset.tasks().iter().map(|&task| {
        let of_task = tally.tasks.remove(&task).unwrap_or_default();
        of_task.report(dataset, task)
    });
    let tasks: Vec<TaskReport> = tasks.collect();
    let warnings = tasks.iter().filter_map(absent_classes).collect();
    DatasetReport {
        dataset: dataset.name().into(),
        task: TaskKind::MultiTask,
        samples: dataset.len(),
        readable: dataset.len() - unusable.len(),
        labels: Vec::new(),
        ignored_pixels: 0,
        ignored_share: 0.0,
        instances: None,
        tasks,
        turned: tally.turned,
        warnings,
        sizes: most_frequent_first(tally.sizes),
        problems: tally.problems,
    }
}
