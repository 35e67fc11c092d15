//! Semantic segmentation: intersection over union and accuracy over a whole dataset.
//!
//! One confusion matrix is summed over every pixel of the dataset and divided once, as
//! mmsegmentation and the benchmarks do. Averages of per-image scores are different numbers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{MetricDescriptor, MetricFamily};

/// Intersection over union of a class, averaged over the classes.
pub const MEAN_IOU: MetricDescriptor = MetricDescriptor {
    name: "mean_iou",
    family: MetricFamily::Segmentation,
    summary: "intersection over union, averaged over the classes in ground truth or prediction",
    higher_is_better: true,
    unit: "share",
};

/// Share of the labelled pixels that are right.
pub const PIXEL_ACCURACY: MetricDescriptor = MetricDescriptor {
    name: "pixel_accuracy",
    family: MetricFamily::Segmentation,
    summary: "share of the labelled pixels that are correct",
    higher_is_better: true,
    unit: "share",
};

/// Share of a class's pixels that are right, averaged over the classes.
pub const MEAN_ACCURACY: MetricDescriptor = MetricDescriptor {
    name: "mean_accuracy",
    family: MetricFamily::Segmentation,
    summary: "share of a class's pixels that are correct, averaged over the classes in the ground truth",
    higher_is_better: true,
    unit: "share",
};

/// Predictions and targets that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SegmentationError {
    /// The two maps differ in size.
    #[error("prediction has {prediction} pixels but target has {target}; they must agree")]
    LengthMismatch {
        /// Number of predicted pixels.
        prediction: usize,
        /// Number of target pixels.
        target: usize,
    },
    /// A predicted value that is not a class.
    #[error("prediction at pixel {index} is {value}; expected a class below {classes}")]
    PredictionOutOfRange {
        /// Index of the first such pixel.
        index: usize,
        /// The value found.
        value: u8,
        /// Number of classes.
        classes: usize,
    },
    /// A target value that is neither a class nor the ignore value.
    #[error(
        "target at pixel {index} is {value}; expected a class below {classes} or {ignore} (ignore)"
    )]
    TargetOutOfRange {
        /// Index of the first such pixel.
        index: usize,
        /// The value found.
        value: u8,
        /// Number of classes.
        classes: usize,
        /// The ignore value.
        ignore: u8,
    },
    /// Two matrices with different numbers of classes.
    #[error("a confusion matrix of {other} classes cannot be added to one of {classes}")]
    ClassMismatch {
        /// Number of classes of the matrix added to.
        classes: usize,
        /// Number of classes of the matrix added.
        other: usize,
    },
}

/// Counts of pixels by true and predicted class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    classes: usize,
    /// `[classes, classes]`, a row per true class.
    counts: Vec<u64>,
}

/// Scores of a confusion matrix, as shares from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentationScores {
    /// `[classes]`, the intersection over union; `None` for a class that is in neither target nor prediction.
    pub iou: Vec<Option<f64>>,
    /// Mean over the classes that have one; 0 if no class has.
    pub mean_iou: f64,
    /// Share of the labelled pixels that are right; 0 if there are none.
    pub pixel_accuracy: f64,
    /// Share of a class's pixels that are right, averaged over the classes in the target; 0 if there are none.
    pub mean_accuracy: f64,
}

impl ConfusionMatrix {
    /// Creates an empty matrix for `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns the numbers of pixels, `[classes, classes]`: a row per true class and a column per predicted class.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Number of pixels counted.
    pub fn pixels(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Counts the pixels of `prediction` and `target`, in the same order, except those whose target is
    /// `ignore`; predictions there are ignored.
    ///
    /// # Errors
    /// If the lengths differ, or a value is not a class. Nothing is counted then.
    pub fn add(
        &mut self,
        prediction: &[u8],
        target: &[u8],
        ignore: u8,
    ) -> Result<(), SegmentationError> {
        if prediction.len() != target.len() {
            return Err(SegmentationError::LengthMismatch {
                prediction: prediction.len(),
                target: target.len(),
            });
        }
        // Checked first, so that a refused map leaves no trace.
        self.check(prediction, target, ignore)?;
        for (&predicted, &truth) in prediction.iter().zip(target) {
            if truth != ignore {
                self.counts[usize::from(truth) * self.classes + usize::from(predicted)] += 1;
            }
        }
        Ok(())
    }

    /// Checks that all pixels are in range.
    fn check(&self, prediction: &[u8], target: &[u8], ignore: u8) -> Result<(), SegmentationError> {
        let classes = self.classes;
        for (index, (&predicted, &truth)) in prediction.iter().zip(target).enumerate() {
            if truth == ignore {
                continue;
            }
            if usize::from(truth) >= classes {
                return Err(SegmentationError::TargetOutOfRange {
                    index,
                    value: truth,
                    classes,
                    ignore,
                });
            }
            if usize::from(predicted) >= classes {
                return Err(SegmentationError::PredictionOutOfRange {
                    index,
                    value: predicted,
                    classes,
                });
            }
        }
        Ok(())
    }

    /// Adds the counts of another matrix, to evaluate in parts.
    ///
    /// # Errors
    /// If the numbers of classes differ.
    pub fn merge(&mut self, other: &Self) -> Result<(), SegmentationError> {
        if self.classes != other.classes {
            return Err(SegmentationError::ClassMismatch {
                classes: self.classes,
                other: other.classes,
            });
        }
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        Ok(())
    }

    /// Returns the scores of all pixels counted so far.
    pub fn scores(&self) -> SegmentationScores {
        let classes = 0..self.classes;
        let truth = |class: usize| -> u64 {
            let start = class * self.classes;
            self.counts[start..start + self.classes].iter().sum()
        };
        let predicted =
            |class: usize| -> u64 { self.counts.iter().skip(class).step_by(self.classes).sum() };
        let right = |class: usize| self.counts[class * self.classes + class];

        let iou: Vec<Option<f64>> = classes
            .clone()
            .map(|class| {
                let union = truth(class) + predicted(class) - right(class);
                share(right(class), union)
            })
            .collect();
        let accuracies = classes
            .clone()
            .map(|class| share(right(class), truth(class)));
        SegmentationScores {
            mean_iou: mean(iou.iter().copied()),
            mean_accuracy: mean(accuracies),
            pixel_accuracy: share(classes.map(right).sum(), self.pixels()).unwrap_or(0.0),
            iou,
        }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The mean of the values that exist; 0 if none does.
fn mean(values: impl Iterator<Item = Option<f64>>) -> f64 {
    let (sum, count) = values
        .flatten()
        .fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IGNORE: u8 = 255;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-12
    }

    #[test]
    fn scores_of_a_small_map_by_hand() {
        // truth       0 0 0 1 1 2 x x
        // prediction  0 0 1 1 0 2 0 9
        let target = [0, 0, 0, 1, 1, 2, IGNORE, IGNORE];
        let prediction = [0, 0, 1, 1, 0, 2, 0, 9];
        let mut matrix = ConfusionMatrix::new(4);
        matrix.add(&prediction, &target, IGNORE).unwrap();
        let scores = matrix.scores();
        // Class 0: 2 of 3 + 3 - 2 = 4; class 1: 1 of 2 + 2 - 1 = 3; class 2: 1 of 1; class 3: absent.
        assert_eq!(scores.iou, [Some(0.5), Some(1.0 / 3.0), Some(1.0), None]);
        assert!(close(scores.mean_iou, (0.5 + 1.0 / 3.0 + 1.0) / 3.0));
        assert!(close(scores.pixel_accuracy, 4.0 / 6.0));
        assert!(close(
            scores.mean_accuracy,
            (2.0 / 3.0 + 1.0 / 2.0 + 1.0) / 3.0
        ));
    }

    #[test]
    fn rows_are_truth_and_accuracy_is_a_share_of_the_truth() {
        // Unlike in the map above, the share of the truth and the share of the prediction differ.
        let mut matrix = ConfusionMatrix::new(3);
        matrix
            .add(&[0, 1, 2, 1, 2], &[0, 0, 0, 1, 2], IGNORE)
            .unwrap();
        assert_eq!(matrix.counts(), [1, 1, 1, 0, 1, 0, 0, 0, 1]);
        let scores = matrix.scores();
        assert!(close(scores.mean_accuracy, (1.0 / 3.0 + 1.0 + 1.0) / 3.0));
        assert_eq!(scores.iou, [Some(1.0 / 3.0), Some(0.5), Some(0.5)]);
    }

    #[test]
    fn a_class_only_predicted_counts_as_zero() {
        let mut matrix = ConfusionMatrix::new(2);
        matrix.add(&[0, 1], &[0, 0], IGNORE).unwrap();
        let scores = matrix.scores();
        assert_eq!(scores.iou, [Some(0.5), Some(0.0)]);
        assert!(close(scores.mean_iou, 0.25));
        // It has no true pixels, so it has no accuracy.
        assert!(close(scores.mean_accuracy, 0.5));
    }

    #[test]
    fn nothing_counted_scores_zero() {
        let scores = ConfusionMatrix::new(3).scores();
        assert_eq!(scores.iou, [None, None, None]);
        assert_eq!(scores.mean_iou, 0.0);
        assert_eq!(ConfusionMatrix::new(0).scores().mean_iou, 0.0);
    }

    #[test]
    fn wrong_input_is_refused_and_not_counted() {
        let mut matrix = ConfusionMatrix::new(2);
        let error = matrix.add(&[0], &[0, 1], IGNORE).unwrap_err().to_string();
        assert!(error.contains("prediction has 1 pixels"), "{error}");
        let error = matrix
            .add(&[0, 1, 2], &[0, 1, 1], IGNORE)
            .unwrap_err()
            .to_string();
        assert!(error.contains("prediction at pixel 2 is 2"), "{error}");
        let error = matrix
            .add(&[0, 0], &[IGNORE, 7], IGNORE)
            .unwrap_err()
            .to_string();
        assert!(error.contains("target at pixel 1 is 7"), "{error}");
        assert!(error.contains("a class below 2 or 255 (ignore)"), "{error}");
        assert!(matrix.merge(&ConfusionMatrix::new(3)).is_err());
        assert_eq!(matrix.pixels(), 0);
    }

    #[test]
    fn an_ignore_value_that_is_a_class_number_is_left_out() {
        let mut matrix = ConfusionMatrix::new(2);
        matrix.add(&[1, 1], &[0, 1], 0).unwrap();
        assert_eq!(matrix.counts(), [0, 0, 0, 1]);
    }

    /// The definition, one class at a time, straight from the maps.
    fn naive_iou(prediction: &[u8], target: &[u8], class: u8) -> Option<f64> {
        let pixels: Vec<(u8, u8)> = prediction
            .iter()
            .copied()
            .zip(target.iter().copied())
            .filter(|(_, truth)| *truth != IGNORE)
            .collect();
        let both = |&&(p, t): &&(u8, u8)| p == class && t == class;
        let either = |&&(p, t): &&(u8, u8)| p == class || t == class;
        let union = pixels.iter().filter(either).count();
        (union > 0).then(|| pixels.iter().filter(both).count() as f64 / union as f64)
    }

    #[test]
    fn agrees_with_the_definition_on_random_maps_in_parts() {
        const CLASSES: u8 = 7;
        // A linear congruential generator; class 6 never occurs.
        let mut state = 12345u64;
        let mut random = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let target: Vec<u8> = (0..5000)
            .map(|_| match random(8) {
                6 | 7 => IGNORE,
                class => class as u8,
            })
            .collect();
        let prediction: Vec<u8> = target
            .iter()
            .map(|&truth| match random(3) {
                0 => random(6) as u8,
                _ if truth == IGNORE => random(256) as u8,
                _ => truth,
            })
            .collect();

        let mut matrix = ConfusionMatrix::new(CLASSES.into());
        let mut second = matrix.clone();
        matrix
            .add(&prediction[..1234], &target[..1234], IGNORE)
            .unwrap();
        second
            .add(&prediction[1234..], &target[1234..], IGNORE)
            .unwrap();
        matrix.merge(&second).unwrap();
        let scores = matrix.scores();

        let expected: Vec<Option<f64>> = (0..CLASSES)
            .map(|class| naive_iou(&prediction, &target, class))
            .collect();
        assert_eq!(scores.iou, expected);
        assert_eq!(expected[6], None);
        let present: Vec<f64> = expected.into_iter().flatten().collect();
        let mean = present.iter().sum::<f64>() / present.len() as f64;
        assert!(close(scores.mean_iou, mean));
        let right = |(p, t): &(&u8, &u8)| p == t && **t != IGNORE;
        let right = prediction.iter().zip(&target).filter(right).count() as f64;
        let labelled = target.iter().filter(|&&truth| truth != IGNORE).count() as f64;
        assert!(close(scores.pixel_accuracy, right / labelled));
    }

    #[test]
    fn scores_serialize() {
        let mut matrix = ConfusionMatrix::new(2);
        matrix.add(&[0], &[0], IGNORE).unwrap();
        let json = serde_json::to_value(matrix.scores()).unwrap();
        assert_eq!(json["iou"], serde_json::json!([1.0, null]));
    }
}
