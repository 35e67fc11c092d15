//! What is counted of the labels of a task.

use std::collections::BTreeMap;

/// What is counted of the labels of a task, sample by sample.
#[derive(Debug, Default)]
pub(crate) struct LabelTally {
    /// Samples and pixels by class.
    pub(crate) classes: BTreeMap<u8, (usize, u64)>,
    /// Smallest, sum and largest.
    pub(crate) depth: Option<[f64; 3]>,
}

impl LabelTally {
    /// Counts `pixels` of a class, in `samples`.
    pub(super) fn add_class(&mut self, class: u8, samples: usize, pixels: u64) {
        let sum = self.classes.entry(class).or_default();
        sum.0 += samples;
        sum.1 += pixels;
    }

    /// Takes in the smallest, the sum and the largest of distances.
    pub(super) fn add_depth(&mut self, [smallest, sum, largest]: [f64; 3]) {
        let [low, total, high] = self.depth.unwrap_or([f64::INFINITY, 0.0, 0.0]);
        self.depth = Some([low.min(smallest), total + sum, high.max(largest)]);
    }

    /// Takes in what was counted of other samples.
    pub(crate) fn merge(&mut self, other: Self) {
        for (class, (samples, pixels)) in other.classes {
            self.add_class(class, samples, pixels);
        }
        if let Some(depth) = other.depth {
            self.add_depth(depth);
        }
    }
}
