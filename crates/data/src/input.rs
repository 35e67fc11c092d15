//! The input that a network expects.

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::normalize::Normalization;
use crate::transform::invalid;

/// Maximum stride in pixels.
const MAXIMUM_STRIDE: usize = 1024;

/// The input that a network expects.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkInput {
    /// Normalisation of the colours.
    pub normalization: Normalization,
    /// Heights and widths must be multiples of this: the number of pixels per position of the network's
    /// coarsest map along a side. Otherwise the map covers more than the image, and would be misaligned with
    /// it.
    pub stride: usize,
}

impl NetworkInput {
    /// Checks that all values are valid.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] for the first invalid value.
    pub fn validate(&self) -> Result<(), DataError> {
        self.normalization.validate()?;
        check_stride("stride", self.stride)
    }

    /// Returns the smallest multiple of the stride that is at least `side`.
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
