//! Errors that all metrics on maps share.

use thiserror::Error;

/// A prediction and a target that cannot be compared.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum MapError {
    /// The two maps differ in size.
    #[error("prediction has {prediction} values but target has {target}; they must agree")]
    LengthMismatch {
        /// Number of predicted values.
        prediction: usize,
        /// Number of target values.
        target: usize,
    },
    /// A map of vectors whose length is not three planes.
    #[error("map has {values} values; expected three planes of equal size")]
    NotVectors {
        /// Number of values.
        values: usize,
    },
    /// A map that is not made of whole rows.
    #[error("map has {pixels} pixels, which is not a multiple of the width {width}")]
    NotRows {
        /// Number of pixels.
        pixels: usize,
        /// The width given.
        width: usize,
    },
    /// A prediction that is not a probability, such as a logit.
    #[error("prediction at pixel {index} is {value}; expected a probability from 0 to 1")]
    NotProbability {
        /// Index of the first such pixel.
        index: usize,
        /// The value found.
        value: f32,
    },
    /// A prediction that is NaN or infinite.
    #[error("prediction at pixel {index} is {value}; expected a finite number")]
    PredictionNotFinite {
        /// Index of the first such pixel.
        index: usize,
        /// The value found.
        value: f32,
    },
    /// A component of a target vector that is NaN or infinite.
    #[error(
        "target at pixel {index} is {value}; expected a finite number, zeros where there is none"
    )]
    TargetNotFinite {
        /// Index of the first such pixel.
        index: usize,
        /// The value found.
        value: f32,
    },
    /// A target value that is not 0, 1 or the ignore value.
    #[error("target at pixel {index} is {value}; expected 0, 1 or {ignore} (ignore)")]
    NotBinary {
        /// Index of the first such pixel.
        index: usize,
        /// The value found.
        value: u8,
        /// The ignore value.
        ignore: u8,
    },
    /// A negative target depth, behind the camera.
    #[error("target at pixel {index} is {value}; expected a positive depth, 0 where there is none")]
    NegativeDepth {
        /// Index of the first such pixel.
        index: usize,
        /// The value found.
        value: f32,
    },
}

/// Checks that two maps have the same size.
pub(crate) fn check_lengths(prediction: usize, target: usize) -> Result<(), MapError> {
    if prediction == target {
        Ok(())
    } else {
        Err(MapError::LengthMismatch { prediction, target })
    }
}

/// Checks that a prediction is a map of probabilities and its target is binary. Predictions where the target is
/// `ignore` are not checked.
pub(crate) fn check_binary(prediction: &[f32], target: &[u8], ignore: u8) -> Result<(), MapError> {
    check_lengths(prediction.len(), target.len())?;
    for (index, (&value, &truth)) in prediction.iter().zip(target).enumerate() {
        if truth == ignore {
            continue;
        }
        if truth > 1 {
            return Err(MapError::NotBinary {
                index,
                value: truth,
                ignore,
            });
        }
        if !(0.0..=1.0).contains(&value) {
            return Err(MapError::NotProbability { index, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_map_of_probabilities_is_named() {
        let error = |prediction: &[f32], target: &[u8]| {
            let error = check_binary(prediction, target, 255).unwrap_err();
            error.to_string()
        };
        assert_eq!(
            error(&[0.5], &[0, 1]),
            "prediction has 1 values but target has 2; they must agree"
        );
        assert_eq!(
            error(&[0.5, 0.5], &[1, 2]),
            "target at pixel 1 is 2; expected 0, 1 or 255 (ignore)"
        );
        for (value, name) in [(1.5, "1.5"), (-0.1, "-0.1"), (f32::NAN, "NaN")] {
            assert_eq!(
                error(&[0.5, value], &[1, 0]),
                format!("prediction at pixel 1 is {name}; expected a probability from 0 to 1")
            );
        }
        assert_eq!(check_binary(&[f32::NAN, 1.0], &[255, 1], 255), Ok(()));
    }
}
