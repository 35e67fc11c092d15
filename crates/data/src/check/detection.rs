//! The report on a detection dataset.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::report::{
    DatasetReport, InstanceCount, InstanceReport, Problem, Warning, is_turned, most_frequent_first,
};
use crate::detection::{DetectionDataset, DetectionSample, Skipped, SkippedKind};
use crate::labels::LabelCensus;
use crate::task::TaskKind;

#[derive(Default)]
struct Tally {
    sizes: BTreeMap<(u32, u32), usize>,
    /// Samples and objects by class.
    classes: BTreeMap<usize, (usize, u64)>,
    with_mask: u64,
    empty_masks: SkippedKind,
    crowds: u64,
    difficult: u64,
    empty: usize,
    turned: usize,
    problems: Vec<Problem>,
}

impl Tally {
    fn add(mut self, dataset: &dyn DetectionDataset, index: usize) -> Self {
        let sample = dataset.get(index).and_then(|sample| {
            sample.check(dataset.classes().len())?;
            Ok(sample)
        });
        match sample {
            Ok(sample) => {
                self.turned += usize::from(is_turned(dataset.image_file(index)));
                self.count(&sample);
            }
            Err(error) => {
                let problem = Problem::new(index, dataset.id(index), &error);
                self.problems.push(problem);
            }
        }
        self
    }

    fn count(&mut self, sample: &DetectionSample) {
        *self.sizes.entry(sample.image.dimensions()).or_default() += 1;
        self.empty += usize::from(sample.instances.is_empty());
        let mut seen: BTreeMap<usize, u64> = BTreeMap::new();
        for instance in &sample.instances {
            *seen.entry(instance.class).or_default() += 1;
            self.crowds += u64::from(instance.is_crowd);
            self.difficult += u64::from(instance.is_difficult);
            if let Some(mask) = &instance.mask {
                self.with_mask += 1;
                if mask.width() == 0 {
                    self.empty_masks.add(instance.id);
                }
            }
        }
        for (class, instances) in seen {
            let count = self.classes.entry(class).or_default();
            count.0 += 1;
            count.1 += instances;
        }
    }

    fn merge(mut self, other: Self) -> Self {
        for (size, samples) in other.sizes {
            *self.sizes.entry(size).or_default() += samples;
        }
        for (class, (samples, instances)) in other.classes {
            let count = self.classes.entry(class).or_default();
            count.0 += samples;
            count.1 += instances;
        }
        self.with_mask += other.with_mask;
        self.empty_masks.merge(other.empty_masks);
        self.crowds += other.crowds;
        self.difficult += other.difficult;
        self.empty += other.empty;
        self.turned += other.turned;
        self.problems.extend(other.problems);
        self
    }
}

/// Checks every sample, on all cores; a problem in one sample does not stop the check.
pub fn check_detection(dataset: &dyn DetectionDataset) -> DatasetReport {
    let mut tally = (0..dataset.len())
        .into_par_iter()
        .fold(Tally::default, |tally, index| tally.add(dataset, index))
        .reduce(Tally::default, Tally::merge);
    tally.problems.sort_by_key(|problem| problem.index);
    let instances = tally.classes.values().map(|(_, instances)| instances).sum();
    let mut census = LabelCensus::new(dataset.classes().iter().cloned());
    for (&class, &(_, count)) in &tally.classes {
        census.add(class, count);
    }
    let mut warnings: Vec<Warning> = census.absent().map(Warning::from).into_iter().collect();
    // Boxes alone are a dataset as good as any: some of each are not.
    if tally.with_mask > 0
        && let Err(error) = dataset.require_masks()
    {
        warnings.push(Warning {
            message: error.to_string(),
            hint: error.hint(),
        });
    }
    if tally.empty_masks.count > 0 {
        let skipped = Skipped {
            empty_masks: tally.empty_masks.clone(),
            ..Skipped::default()
        };
        warnings.push(Warning {
            message: skipped.to_string(),
            hint: Some(
                "polygons must be in pixels of the image; detectors of masks are not trained on such objects"
                    .into(),
            ),
        });
    }
    let names = dataset.classes().iter().enumerate();
    let classes = names.map(|(class, name)| {
        let (samples, count) = tally.classes.get(&class).copied().unwrap_or_default();
        InstanceCount {
            class,
            name: name.clone(),
            samples,
            instances: count,
            share: count as f64 / u64::max(instances, 1) as f64,
        }
    });
    DatasetReport {
        dataset: dataset.name().into(),
        task: TaskKind::Detection,
        samples: dataset.len(),
        readable: dataset.len() - tally.problems.len(),
        labels: Vec::new(),
        ignored_pixels: 0,
        ignored_share: 0.0,
        instances: Some(InstanceReport {
            instances,
            with_mask: tally.with_mask,
            empty_masks: tally.empty_masks.count as u64,
            crowds: tally.crowds,
            difficult: tally.difficult,
            empty: tally.empty,
            classes: classes.collect(),
            skipped: dataset.skipped(),
        }),
        tasks: Vec::new(),
        turned: tally.turned,
        warnings,
        sizes: most_frequent_first(tally.sizes),
        problems: tally.problems,
    }
}
