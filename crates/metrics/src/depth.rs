//! Depth: error and accuracy over the pixels of a dataset.
//!
//! The measures of Eigen et al. (NIPS 2014), each over the valid pixels of all images together, not
//! an average over images. A pixel is valid where its true depth is finite and not 0.

use serde::{Deserialize, Serialize};

use crate::map::{MapError, check_lengths};
use crate::{MetricDescriptor, MetricFamily};

/// Root mean square error.
pub const DEPTH_RMSE: MetricDescriptor = MetricDescriptor {
    name: "depth_rmse",
    family: MetricFamily::Depth,
    summary: "root mean square error of the depth over the valid pixels",
    higher_is_better: false,
    unit: "metres",
};

/// Error as a share of the true depth, averaged over the pixels.
pub const MEAN_RELATIVE_ERROR: MetricDescriptor = MetricDescriptor {
    name: "mean_relative_error",
    family: MetricFamily::Depth,
    summary: "error as a share of the true depth, averaged over the valid pixels",
    higher_is_better: false,
    unit: "share",
};

/// Share of the pixels off by a factor below 1.25.
pub const WITHIN_1_25: MetricDescriptor = MetricDescriptor {
    name: "within_1_25",
    family: MetricFamily::Depth,
    summary: "share of the valid pixels whose depth is off by a factor below 1.25",
    higher_is_better: true,
    unit: "share",
};

/// Share of the pixels off by a factor below 1.25 squared.
pub const WITHIN_1_25_SQUARED: MetricDescriptor = MetricDescriptor {
    name: "within_1_25_squared",
    family: MetricFamily::Depth,
    summary: "share of the valid pixels whose depth is off by a factor below 1.25 squared",
    higher_is_better: true,
    unit: "share",
};

/// Share of the pixels off by a factor below 1.25 cubed.
pub const WITHIN_1_25_CUBED: MetricDescriptor = MetricDescriptor {
    name: "within_1_25_cubed",
    family: MetricFamily::Depth,
    summary: "share of the valid pixels whose depth is off by a factor below 1.25 cubed",
    higher_is_better: true,
    unit: "share",
};

const FACTORS: [f64; 3] = [1.25, 1.25 * 1.25, 1.25 * 1.25 * 1.25];

/// Sums over the valid pixels seen so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct DepthEvaluation {
    pixels: u64,
    squares: f64,
    relative: f64,
    /// Pixels within each of the factors.
    within: [u64; 3],
}

/// Scores of depth; `None` without a valid pixel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DepthScores {
    /// Root mean square error, in the unit of the truth.
    pub depth_rmse: Option<f64>,
    /// Mean of `|prediction - truth| / truth`.
    pub mean_relative_error: Option<f64>,
    /// Share of the pixels whose factor, the larger of prediction / truth and truth / prediction, is
    /// below 1.25. A prediction that is not positive is off by an infinite factor.
    pub within_1_25: Option<f64>,
    /// The same share for 1.25 squared.
    pub within_1_25_squared: Option<f64>,
    /// The same share for 1.25 cubed.
    pub within_1_25_cubed: Option<f64>,
}

impl DepthEvaluation {
    /// An evaluation without any pixels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of valid pixels counted.
    pub fn pixels(&self) -> u64 {
        self.pixels
    }

    /// Counts the valid pixels of `prediction` and `target`, in the same order and unit. The target is 0,
    /// infinite or NaN at invalid pixels; the prediction there is ignored.
    ///
    /// # Errors
    /// If the lengths differ, a prediction is not finite, or a target is negative. Nothing is counted then.
    pub fn add(&mut self, prediction: &[f32], target: &[f32]) -> Result<(), MapError> {
        check(prediction, target)?;
        for (&predicted, &truth) in prediction.iter().zip(target) {
            if !is_valid(truth) {
                continue;
            }
            let (predicted, truth) = (f64::from(predicted), f64::from(truth));
            let error = predicted - truth;
            self.pixels += 1;
            self.squares += error * error;
            self.relative += error.abs() / truth;
            let factor = if predicted > 0.0 {
                (predicted / truth).max(truth / predicted)
            } else {
                f64::INFINITY
            };
            for (within, limit) in self.within.iter_mut().zip(FACTORS) {
                *within += u64::from(factor < limit);
            }
        }
        Ok(())
    }

    /// Adds the pixels of another evaluation, to evaluate in parts.
    pub fn merge(&mut self, other: &Self) {
        self.pixels += other.pixels;
        self.squares += other.squares;
        self.relative += other.relative;
        for (sum, count) in self.within.iter_mut().zip(other.within) {
            *sum += count;
        }
    }

    /// Returns the scores of all pixels counted so far.
    pub fn scores(&self) -> DepthScores {
        let mean = |sum: f64| (self.pixels > 0).then(|| sum / self.pixels as f64);
        let [first, second, third] = self.within.map(|count| mean(count as f64));
        DepthScores {
            depth_rmse: mean(self.squares).map(f64::sqrt),
            mean_relative_error: mean(self.relative),
            within_1_25: first,
            within_1_25_squared: second,
            within_1_25_cubed: third,
        }
    }
}

fn is_valid(truth: f32) -> bool {
    truth.is_finite() && truth != 0.0
}

fn check(prediction: &[f32], target: &[f32]) -> Result<(), MapError> {
    check_lengths(prediction.len(), target.len())?;
    for (index, (&value, &truth)) in prediction.iter().zip(target).enumerate() {
        if !is_valid(truth) {
            continue;
        }
        if truth < 0.0 {
            return Err(MapError::NegativeDepth {
                index,
                value: truth,
            });
        }
        if !value.is_finite() {
            return Err(MapError::PredictionNotFinite { index, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: Option<f64>, right: f64) -> bool {
        (left.unwrap() - right).abs() < 1e-12
    }

    #[test]
    fn scores_of_a_small_map_by_hand() {
        let target = [2.0, 2.0, 4.0, 4.0, 0.0, f32::NAN, f32::INFINITY];
        let prediction = [2.0, 3.0, 3.0, 8.0, 9.0, f32::NAN, 1.0];
        let mut evaluation = DepthEvaluation::new();
        evaluation.add(&prediction, &target).unwrap();
        let scores = evaluation.scores();
        // Errors 0, 1, -1, 4; factors 1, 1.5, 1.33, 2. The squares of 1.25 are 1.5625 and 1.953.
        assert_eq!(evaluation.pixels(), 4);
        assert!(close(scores.depth_rmse, 4.5f64.sqrt()));
        assert!(close(scores.mean_relative_error, (0.5 + 0.25 + 1.0) / 4.0));
        assert!(close(scores.within_1_25, 0.25));
        assert!(close(scores.within_1_25_squared, 0.75));
        assert!(close(scores.within_1_25_cubed, 0.75));
    }

    #[test]
    fn a_factor_equal_to_the_limit_is_not_below_it() {
        let mut evaluation = DepthEvaluation::new();
        evaluation.add(&[1.25, 1.0], &[1.0, 1.25]).unwrap();
        let scores = evaluation.scores();
        assert_eq!(scores.within_1_25, Some(0.0));
        assert_eq!(scores.within_1_25_squared, Some(1.0));
    }

    #[test]
    fn a_prediction_that_is_not_positive_is_within_no_factor() {
        let mut evaluation = DepthEvaluation::new();
        evaluation.add(&[0.0, -1.0], &[1.0, 1.0]).unwrap();
        let scores = evaluation.scores();
        assert_eq!(scores.within_1_25_cubed, Some(0.0));
        assert!(close(scores.depth_rmse, 2.5f64.sqrt()));
        assert!(close(scores.mean_relative_error, 1.5));
    }

    #[test]
    fn images_count_by_their_pixels_and_parts_merge() {
        let mut whole = DepthEvaluation::new();
        whole.add(&[1.0, 1.0, 1.0], &[1.0, 1.0, 1.0]).unwrap();
        whole.add(&[3.0], &[1.0]).unwrap();
        assert_eq!(whole.scores().depth_rmse, Some(1.0));
        let mut merged = DepthEvaluation::new();
        for (prediction, target) in [([1.0, 1.0], [1.0, 1.0]), ([1.0, 3.0], [1.0, 1.0])] {
            let mut part = DepthEvaluation::new();
            part.add(&prediction, &target).unwrap();
            merged.merge(&part);
        }
        assert_eq!(merged, whole);
    }

    #[test]
    fn wrong_input_is_refused_and_not_counted() {
        let mut evaluation = DepthEvaluation::new();
        let error = evaluation.add(&[1.0], &[1.0, 2.0]).unwrap_err();
        assert!(error.to_string().contains("prediction has 1 values"));
        let error = evaluation.add(&[1.0, f32::NAN], &[1.0, 2.0]).unwrap_err();
        assert!(error.to_string().contains("prediction at pixel 1 is NaN"));
        let error = evaluation.add(&[1.0, 1.0], &[1.0, -1.0]).unwrap_err();
        assert!(error.to_string().contains("target at pixel 1 is -1"));
        assert_eq!(evaluation, DepthEvaluation::new());
        assert_eq!(evaluation.scores().depth_rmse, None);
        assert_eq!(evaluation.scores().within_1_25, None);
    }
}
