//! What a network expects of its images.

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::normalize::Normalization;
use crate::transform::invalid;

/// The largest stride, in pixels.
const MAXIMUM_STRIDE: usize = 1024;

/// What a network expects of its images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkInput {
    /// The statistics that colours are normalised with.
    pub normalization: Normalization,
    /// What heights and widths have to be a multiple of: pixels for each position of the network's
    /// coarsest map, along a side. A map of a side that is no multiple covers more than the image, and
    /// would be stretched over it.
    pub stride: usize,
}

impl NetworkInput {
    /// Refuses values that make no sense.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`].
    pub fn validate(&self) -> Result<(), DataError> {
        self.normalization.validate()?;
        check_stride("stride", self.stride)
    }

    /// The least multiple of the stride that is not below `side`.
    pub fn pad(&self, side: usize) -> usize {
        side.next_multiple_of(self.stride.max(1))
    }
}

pub(crate) fn check_stride(key: &'static str, stride: usize) -> Result<(), DataError> {
    if (1..=MAXIMUM_STRIDE).contains(&stride) {
        return Ok(());
    }
    let expected = format!("1 to {MAXIMUM_STRIDE} pixels");
    Err(invalid(key, stride, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_become_multiples() {
        let input = NetworkInput {
            normalization: Normalization::IMAGENET,
            stride: 32,
        };
        assert!(input.validate().is_ok());
        assert_eq!([0, 1, 32, 33].map(|side| input.pad(side)), [0, 32, 32, 64]);
        let none = NetworkInput { stride: 0, ..input };
        let error = none.validate().unwrap_err().to_string();
        assert!(error.contains("`stride` = 0"), "{error}");
    }
}
