//! Surface normals: angles between predicted and true vectors, over the pixels of a dataset.
//!
//! The measures of Fouhey et al. (ICCV 2013), each over the valid pixels of all images together, not an average
//! over images. A pixel is valid where its true vector is not zero. Vectors of any other length are normalised.
//! The multi-task literature reports the mean angle as "rmse"; here the root mean square is a separate score.
//!
//! The median of up to 16.8 million pixels is exact to 2.1e-8 degrees, of more pixels to 1.1e-5
//! degrees, in at most 128 MiB.

mod median;

use serde::{Deserialize, Serialize};

use crate::map::{MapError, check_lengths};
use crate::{MetricDescriptor, MetricFamily};
use median::Angles;

/// Mean of the angles.
pub const MEAN_ANGULAR_ERROR: MetricDescriptor = MetricDescriptor {
    name: "mean_angular_error",
    family: MetricFamily::Normals,
    summary: "mean angle between predicted and true normals over the valid pixels",
    higher_is_better: false,
    unit: "degrees",
};

/// Median of the angles.
pub const MEDIAN_ANGULAR_ERROR: MetricDescriptor = MetricDescriptor {
    name: "median_angular_error",
    family: MetricFamily::Normals,
    summary: "median angle between predicted and true normals over the valid pixels",
    higher_is_better: false,
    unit: "degrees",
};

/// Root mean square of the angles.
pub const ANGULAR_RMSE: MetricDescriptor = MetricDescriptor {
    name: "angular_rmse",
    family: MetricFamily::Normals,
    summary: "root mean square angle between predicted and true normals over the valid pixels",
    higher_is_better: false,
    unit: "degrees",
};

/// Share of the angles below 11.25 degrees.
pub const WITHIN_11_25_DEGREES: MetricDescriptor = MetricDescriptor {
    name: "within_11_25_degrees",
    family: MetricFamily::Normals,
    summary: "share of the valid pixels whose normal is off by less than 11.25 degrees",
    higher_is_better: true,
    unit: "share",
};

/// Share of the angles below 22.5 degrees.
pub const WITHIN_22_5_DEGREES: MetricDescriptor = MetricDescriptor {
    name: "within_22_5_degrees",
    family: MetricFamily::Normals,
    summary: "share of the valid pixels whose normal is off by less than 22.5 degrees",
    higher_is_better: true,
    unit: "share",
};

/// Share of the angles below 30 degrees.
pub const WITHIN_30_DEGREES: MetricDescriptor = MetricDescriptor {
    name: "within_30_degrees",
    family: MetricFamily::Normals,
    summary: "share of the valid pixels whose normal is off by less than 30 degrees",
    higher_is_better: true,
    unit: "share",
};

const LIMITS: [f64; 3] = [11.25, 22.5, 30.0];

/// Sums over the valid pixels seen so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NormalsEvaluation {
    pixels: u64,
    sum: f64,
    squares: f64,
    /// Pixels below each of the limits.
    within: [u64; 3],
    angles: Angles,
}

/// Scores of normals, in degrees or as shares from 0 to 1; `None` without a valid pixel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NormalsScores {
    /// Mean angle, in degrees.
    pub mean_angular_error: Option<f64>,
    /// Median angle, in degrees; for an even number of pixels the mean of the middle two.
    pub median_angular_error: Option<f64>,
    /// Root mean square angle, in degrees.
    pub angular_rmse: Option<f64>,
    /// Share of the angles below 11.25 degrees.
    pub within_11_25_degrees: Option<f64>,
    /// Share of the angles below 22.5 degrees.
    pub within_22_5_degrees: Option<f64>,
    /// Share of the angles below 30 degrees.
    pub within_30_degrees: Option<f64>,
}

impl NormalsEvaluation {
    /// An evaluation without any pixels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of valid pixels counted.
    pub fn pixels(&self) -> u64 {
        self.pixels
    }

    /// Counts the valid pixels of `prediction` and `target`, both `[3, pixels]` in the same order. The target
    /// is zero at invalid pixels; the prediction there is ignored. A predicted vector of zeros has no direction
    /// and counts as an error of 90 degrees.
    ///
    /// # Errors
    /// If the lengths differ or are not three planes, or a value is not finite. Nothing is counted then.
    pub fn add(&mut self, prediction: &[f32], target: &[f32]) -> Result<(), MapError> {
        check(prediction, target)?;
        let pixels = target.len() / 3;
        for index in 0..pixels {
            let truth = vector(target, pixels, index);
            if truth == [0.0; 3] {
                continue;
            }
            let angle = angle(vector(prediction, pixels, index), truth);
            self.pixels += 1;
            self.sum += angle;
            self.squares += angle * angle;
            for (within, limit) in self.within.iter_mut().zip(LIMITS) {
                *within += u64::from(angle < limit);
            }
            self.angles.add(angle);
        }
        Ok(())
    }

    /// Adds the pixels of another evaluation, to evaluate in parts.
    pub fn merge(&mut self, other: &Self) {
        self.pixels += other.pixels;
        self.sum += other.sum;
        self.squares += other.squares;
        for (sum, count) in self.within.iter_mut().zip(other.within) {
            *sum += count;
        }
        self.angles.merge(&other.angles);
    }

    /// Returns the scores of all pixels counted so far.
    pub fn scores(&self) -> NormalsScores {
        let mean = |sum: f64| (self.pixels > 0).then(|| sum / self.pixels as f64);
        let [first, second, third] = self.within.map(|count| mean(count as f64));
        NormalsScores {
            mean_angular_error: mean(self.sum),
            median_angular_error: self.angles.median(),
            angular_rmse: mean(self.squares).map(f64::sqrt),
            within_11_25_degrees: first,
            within_22_5_degrees: second,
            within_30_degrees: third,
        }
    }
}

fn vector(planes: &[f32], pixels: usize, index: usize) -> [f64; 3] {
    [0, 1, 2].map(|plane| f64::from(planes[plane * pixels + index]))
}

fn check(prediction: &[f32], target: &[f32]) -> Result<(), MapError> {
    check_lengths(prediction.len(), target.len())?;
    if !target.len().is_multiple_of(3) {
        return Err(MapError::NotVectors {
            values: target.len(),
        });
    }
    let pixels = target.len() / 3;
    let not_finite = |planes: &[f32], index: usize| {
        let components = [0, 1, 2].map(|plane| planes[plane * pixels + index]);
        components.into_iter().find(|value| !value.is_finite())
    };
    for index in 0..pixels {
        if let Some(value) = not_finite(target, index) {
            return Err(MapError::TargetNotFinite { index, value });
        }
        if vector(target, pixels, index) == [0.0; 3] {
            continue;
        }
        if let Some(value) = not_finite(prediction, index) {
            return Err(MapError::PredictionNotFinite { index, value });
        }
    }
    Ok(())
}

/// The angle between two vectors in degrees, whatever their lengths.
fn angle(prediction: [f64; 3], truth: [f64; 3]) -> f64 {
    let [a, b] = [prediction, truth];
    if a == [0.0; 3] {
        return 90.0;
    }
    let dot: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let cross = [(1, 2), (2, 0), (0, 1)].map(|(i, j)| a[i] * b[j] - a[j] * b[i]);
    let length = cross.iter().map(|value| value * value).sum::<f64>().sqrt();
    // An arc cosine would lose half of the digits of small angles.
    length.atan2(dot).to_degrees()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: Option<f64>, right: f64) -> bool {
        // An angle kept for the median is rounded by up to 2.1e-8 degrees.
        (left.unwrap() - right).abs() < 1e-7
    }

    /// Planes of vectors.
    fn planes(vectors: &[[f32; 3]]) -> Vec<f32> {
        let plane = |plane: usize| vectors.iter().map(move |vector| vector[plane]);
        (0..3).flat_map(plane).collect()
    }

    #[test]
    fn scores_of_five_pixels_by_hand() {
        let target = planes(&[
            [0.0, 0.0, 1.0],
            [0.0, 3.0, 0.0],
            [1.0, 0.0, 0.0],
            [0.0, 0.0, 0.1],
            [0.0, 0.0, 0.0],
        ]);
        let prediction = planes(&[
            [0.0, 0.0, 7.0],
            [0.0, 2.0, 2.0],
            [-1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0],
            [f32::NAN, 0.0, 0.0],
        ]);
        let mut evaluation = NormalsEvaluation::new();
        evaluation.add(&prediction, &target).unwrap();
        let scores = evaluation.scores();
        // 0, 45, 180, and 90 degrees of the vector without direction.
        assert_eq!(evaluation.pixels(), 4);
        assert!(close(scores.mean_angular_error, 78.75));
        assert!(close(scores.median_angular_error, 67.5));
        let squares = 45.0 * 45.0 + 90.0 * 90.0 + 180.0 * 180.0;
        assert!(close(scores.angular_rmse, f64::sqrt(squares / 4.0)));
        assert_eq!(scores.within_30_degrees, Some(0.25));
    }

    #[test]
    fn shares_are_of_angles_below_the_limits() {
        let tilted = |degrees: f64| {
            let radians = degrees.to_radians();
            [0.0, radians.sin() as f32, radians.cos() as f32]
        };
        let prediction = planes(&[11.2, 11.3, 22.4, 22.6, 29.9, 30.1].map(tilted));
        let target = planes(&[[0.0, 0.0, 1.0]; 6]);
        let mut evaluation = NormalsEvaluation::new();
        evaluation.add(&prediction, &target).unwrap();
        let scores = evaluation.scores();
        assert_eq!(scores.within_11_25_degrees, Some(1.0 / 6.0));
        assert_eq!(scores.within_22_5_degrees, Some(0.5));
        assert_eq!(scores.within_30_degrees, Some(5.0 / 6.0));
    }

    #[test]
    fn tiny_angles_and_huge_vectors_are_measured() {
        let truth = [0.0, 0.0, 3e38];
        let tiny = 1e-5f64.to_radians();
        let found = angle([0.0, tiny * 1e-30, 1e-30], truth);
        assert!((found - 1e-5).abs() < 1e-15, "{found}");
    }

    #[test]
    fn parts_merge_and_wrong_input_leaves_no_trace() {
        let images = [
            ([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1.0, 1.0, 0.0]; 2]),
            ([[0.0, 1.0, 0.0], [2.0, 1.0, 1.0]], [[0.0, 0.0, 1.0]; 2]),
        ];
        let (mut whole, mut merged) = (NormalsEvaluation::new(), NormalsEvaluation::new());
        for (prediction, target) in images {
            whole.add(&planes(&prediction), &planes(&target)).unwrap();
            let mut part = NormalsEvaluation::new();
            part.add(&planes(&prediction), &planes(&target)).unwrap();
            merged.merge(&part);
        }
        let (whole, merged_scores) = (whole.scores(), merged.scores());
        assert_eq!(
            whole.median_angular_error,
            merged_scores.median_angular_error
        );
        assert!(close(
            whole.angular_rmse,
            merged_scores.angular_rmse.unwrap()
        ));

        let before = merged.clone();
        let mut error = |prediction: &[f32], target: &[f32]| {
            merged.add(prediction, target).unwrap_err().to_string()
        };
        let (nan, infinite) = (f32::NAN, f32::INFINITY);
        let two = [1.0; 6];
        assert!(error(&[1.0; 3], &two).contains("prediction has 3 values"));
        assert!(error(&[1.0; 4], &[1.0; 4]).contains("map has 4 values"));
        let wrong = error(&[1.0, 1.0, 1.0, infinite, 1.0, 1.0], &two);
        assert!(wrong.contains("prediction at pixel 1 is inf"), "{wrong}");
        let wrong = error(&two, &[1.0, 0.0, 1.0, 0.0, 1.0, nan]);
        assert!(wrong.contains("target at pixel 1 is NaN"), "{wrong}");
        assert_eq!(merged, before);
    }

    #[test]
    fn nothing_counted_has_no_scores() {
        let mut evaluation = NormalsEvaluation::new();
        evaluation.add(&[1.0; 3], &[0.0; 3]).unwrap();
        let scores = evaluation.scores();
        assert_eq!(scores.mean_angular_error, None);
        assert_eq!(scores.median_angular_error, None);
        assert_eq!(scores.within_30_degrees, None);
    }
}
