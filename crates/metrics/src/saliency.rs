//! Saliency: Jaccard index and F measure of a map of probabilities, at the best threshold.
//!
//! A prediction is foreground where its probability is above a threshold. The Jaccard index of an image's
//! foreground is averaged over the images; its largest average over the thresholds 0.2, 0.25, ... 0.9 is what
//! the multi-task literature calls the mIoU of saliency (the evaluation of ASTMT and its followers). The F
//! measure weighs precision more than recall (beta squared 0.3; Achanta et al., CVPR 2009), at the thresholds
//! 0.05, 0.1, ... 0.95. There are two versions of it: precision and recall are averaged over the images
//! ([`MAX_F`]), as in the benchmarks of salient objects, or computed over all pixels together
//! ([`MAX_F_POOLED`]), as in MTLoRA's evaluation.
//!
//! Divisions by zero are handled as in ASTMT. An image without foreground in both target and prediction has the
//! Jaccard index 1. Without predicted foreground its precision is 0, without true foreground its recall is 0.
//! An image without a labelled pixel does not count.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::map::{MapError, check_binary};
use crate::{MetricDescriptor, MetricFamily};

/// Jaccard index of the foreground, averaged over the images, at the best threshold.
pub const MAX_JACCARD: MetricDescriptor = MetricDescriptor {
    name: "max_jaccard",
    family: MetricFamily::Saliency,
    summary: "intersection over union of an image's foreground, averaged over the images, at the best of 15 thresholds",
    higher_is_better: true,
    unit: "share",
};

/// F measure of average precision and average recall at the best threshold.
pub const MAX_F: MetricDescriptor = MetricDescriptor {
    name: "max_f",
    family: MetricFamily::Saliency,
    summary: "F measure (beta squared 0.3) of precision and recall averaged over the images, at the best of 19 thresholds",
    higher_is_better: true,
    unit: "share",
};

/// F measure of the pixels of all images at the best threshold.
pub const MAX_F_POOLED: MetricDescriptor = MetricDescriptor {
    name: "max_f_pooled",
    family: MetricFamily::Saliency,
    summary: "F measure (beta squared 0.3) of the pixels of all images, at the best of 19 thresholds",
    higher_is_better: true,
    unit: "share",
};

/// Number of thresholds: 0.05, 0.1, ... 0.95.
const THRESHOLDS: usize = 19;

/// The thresholds of the Jaccard index: 0.2, 0.25, ... 0.9.
const JACCARD_THRESHOLDS: Range<usize> = 3..18;

const BETA_SQUARED: f64 = 0.3;

/// Counts over the images seen so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct SaliencyEvaluation {
    images: u64,
    /// Sums over the images, by threshold.
    jaccard: [f64; THRESHOLDS],
    precision: [f64; THRESHOLDS],
    recall: [f64; THRESHOLDS],
    /// Pixel counts of all images, by threshold.
    right: [u64; THRESHOLDS],
    predicted: [u64; THRESHOLDS],
    truth: u64,
}

/// Scores of saliency, as shares from 0 to 1; `None` without an image that counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SaliencyScores {
    /// The largest of `jaccard`.
    pub max_jaccard: Option<f64>,
    /// The largest of `f`.
    pub max_f: Option<f64>,
    /// The largest of `f_pooled`.
    pub max_f_pooled: Option<f64>,
    /// `[15]`, average Jaccard indices at the thresholds 0.2, 0.25, ... 0.9.
    pub jaccard: Vec<f64>,
    /// `[19]`, F measures of average precision and recall at the thresholds 0.05, 0.1, ... 0.95.
    pub f: Vec<f64>,
    /// `[19]`, F measures of all pixels at the same thresholds.
    pub f_pooled: Vec<f64>,
}

impl SaliencyEvaluation {
    /// An evaluation without any images.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of images counted.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Adds an image: the predicted probabilities of foreground, and the target, 1 for foreground, 0 for
    /// background and `ignore` for unlabelled pixels, where predictions are ignored.
    ///
    /// # Errors
    /// If the lengths differ, a prediction is not a probability, or a target has another value. Nothing is
    /// counted then.
    pub fn add(&mut self, prediction: &[f32], target: &[u8], ignore: u8) -> Result<(), MapError> {
        check_binary(prediction, target, ignore)?;
        let thresholds = thresholds();
        // Pixels by truth and by the number of thresholds they are above.
        let mut pixels = [[0u64; THRESHOLDS + 1]; 2];
        for (&probability, &truth) in prediction.iter().zip(target) {
            if truth != ignore {
                let above = thresholds.partition_point(|&threshold| threshold < probability);
                pixels[usize::from(truth)][above] += 1;
            }
        }
        let [background, foreground] = pixels.map(|pixels| pixels.iter().sum::<u64>());
        if background + foreground == 0 {
            return Ok(());
        }

        self.images += 1;
        self.truth += foreground;
        let (mut right, mut wrong) = (0, 0);
        for index in (0..THRESHOLDS).rev() {
            wrong += pixels[0][index + 1];
            right += pixels[1][index + 1];
            let predicted = right + wrong;
            self.jaccard[index] += share(right, foreground + wrong).unwrap_or(1.0);
            self.precision[index] += share(right, predicted).unwrap_or(0.0);
            self.recall[index] += share(right, foreground).unwrap_or(0.0);
            self.right[index] += right;
            self.predicted[index] += predicted;
        }
        Ok(())
    }

    /// Adds the images of another evaluation, to evaluate in parts.
    pub fn merge(&mut self, other: &Self) {
        self.images += other.images;
        self.truth += other.truth;
        for index in 0..THRESHOLDS {
            self.jaccard[index] += other.jaccard[index];
            self.precision[index] += other.precision[index];
            self.recall[index] += other.recall[index];
            self.right[index] += other.right[index];
            self.predicted[index] += other.predicted[index];
        }
    }

    /// Returns the scores of all images counted so far.
    pub fn scores(&self) -> SaliencyScores {
        let thresholds = if self.images == 0 { 0 } else { THRESHOLDS };
        let images = self.images as f64;
        let averages = (0..thresholds)
            .map(|index| f_measure(self.precision[index] / images, self.recall[index] / images));
        let pooled = (0..thresholds).map(|index| {
            let precision = share(self.right[index], self.predicted[index]);
            let recall = share(self.right[index], self.truth);
            f_measure(precision.unwrap_or(0.0), recall.unwrap_or(0.0))
        });
        let jaccard: Vec<f64> = JACCARD_THRESHOLDS
            .filter(|&index| index < thresholds)
            .map(|index| self.jaccard[index] / images)
            .collect();
        let (f, f_pooled) = (averages.collect::<Vec<_>>(), pooled.collect::<Vec<_>>());
        SaliencyScores {
            max_jaccard: largest(&jaccard),
            max_f: largest(&f),
            max_f_pooled: largest(&f_pooled),
            jaccard,
            f,
            f_pooled,
        }
    }
}

/// The thresholds in the precision of the predictions: a probability of 0.2 is not above a threshold of 0.2.
fn thresholds() -> [f32; THRESHOLDS] {
    std::array::from_fn(|index| (index + 1) as f32 / (THRESHOLDS + 1) as f32)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn f_measure(precision: f64, recall: f64) -> f64 {
    let weighted = BETA_SQUARED * precision + recall;
    if weighted == 0.0 {
        return 0.0;
    }
    (1.0 + BETA_SQUARED) * precision * recall / weighted
}

fn largest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IGNORE: u8 = 255;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-12
    }

    fn scores(images: &[(&[f32], &[u8])]) -> SaliencyScores {
        let mut evaluation = SaliencyEvaluation::new();
        for (prediction, target) in images {
            evaluation.add(prediction, target, IGNORE).unwrap();
        }
        evaluation.scores()
    }

    #[test]
    fn scores_of_two_images_by_hand() {
        let first: (&[f32], &[u8]) = (&[0.92, 0.52, 0.52, 0.12, f32::NAN], &[1, 1, 0, 0, IGNORE]);
        let second: (&[f32], &[u8]) = (&[0.32, 0.82], &[1, 0]);
        let scores = scores(&[first, second]);
        // At 0.2 to 0.3 the first overlaps in 2 of 3 and the second in 1 of 2; up to 0.5 the second
        // in none; up to 0.9 the first in 1 of 2.
        let expected = [
            (0, 7.0 / 12.0),
            (2, 7.0 / 12.0),
            (3, 1.0 / 3.0),
            (7, 0.25),
            (14, 0.25),
        ];
        for (index, expected) in expected {
            assert!(close(scores.jaccard[index], expected), "{index}");
        }
        assert_eq!(scores.jaccard.len(), 15);
        assert!(close(scores.max_jaccard.unwrap(), 7.0 / 12.0));
        // At 0.3: precision (2/3 + 1/2) / 2, recall 1; together 3 of 5 are right.
        let precision = 7.0 / 12.0;
        assert!(close(
            scores.f[5],
            1.3 * precision / (0.3 * precision + 1.0)
        ));
        assert!(close(scores.f_pooled[5], 1.3 * 0.6 / (0.3 * 0.6 + 1.0)));
        // At 0.9: of the first 1 of 1 and 1 of 2, of the second nothing.
        assert!(close(scores.f[17], 1.3 * 0.5 * 0.25 / (0.3 * 0.5 + 0.25)));
        assert!(close(scores.f_pooled[17], 1.3 / (0.3 + 1.0 / 3.0) / 3.0));
        assert_eq!((scores.f.len(), scores.f_pooled.len()), (19, 19));
    }

    #[test]
    fn nothing_to_divide_by() {
        // No foreground, none predicted up to any threshold of the overlap; then some predicted.
        let nothing = scores(&[(&[0.01, 0.0], &[0, 0])]);
        assert_eq!((nothing.max_jaccard, nothing.max_f), (Some(1.0), Some(0.0)));
        let something = scores(&[(&[0.93, 0.0], &[0, 0])]);
        assert_eq!(something.max_jaccard, Some(0.0));
        assert_eq!(something.max_f_pooled, Some(0.0));
        // Foreground of which none is predicted.
        let missed = scores(&[(&[0.0, 0.0], &[1, 0])]);
        assert_eq!((missed.max_jaccard, missed.max_f), (Some(0.0), Some(0.0)));
        // Nothing labelled, and nothing at all.
        for scores in [
            scores(&[(&[0.7], &[IGNORE])]),
            scores(&[(&[], &[])]),
            scores(&[]),
        ] {
            assert_eq!((scores.max_jaccard, scores.max_f), (None, None));
            assert_eq!(
                (scores.jaccard, scores.f, scores.f_pooled),
                (vec![], vec![], vec![])
            );
        }
    }

    #[test]
    fn a_probability_equal_to_a_threshold_is_not_above_it() {
        let quarter = scores(&[(&[0.25], &[1])]);
        assert_eq!(quarter.jaccard[..3], [1.0, 0.0, 0.0]);
        // 0.2 as a byte of 51; neither 51 / 255 nor 0.2 is exact.
        assert_eq!(scores(&[(&[51.0 / 255.0], &[1])]).max_jaccard, Some(0.0));
    }

    #[test]
    fn parts_merge_and_a_refused_image_leaves_no_trace() {
        let images: [(&[f32], &[u8]); 2] = [(&[0.5, 0.25], &[1, 0]), (&[0.75], &[1])];
        let mut whole = SaliencyEvaluation::new();
        let mut merged = SaliencyEvaluation::new();
        for (prediction, target) in images {
            whole.add(prediction, target, IGNORE).unwrap();
            let mut part = SaliencyEvaluation::new();
            part.add(prediction, target, IGNORE).unwrap();
            merged.merge(&part);
        }
        assert_eq!((merged.images(), &merged), (2, &whole));
        assert!(merged.add(&[0.5, 1.5], &[1, 1], IGNORE).is_err());
        assert!(merged.add(&[0.5], &[1, 1], IGNORE).is_err());
        assert!(merged.add(&[0.5, 0.5], &[1, 3], IGNORE).is_err());
        assert_eq!(merged, whole);
    }
}
