//! Samples whose labels are transformed together with their image.

use rand::Rng;

use crate::error::DataError;
use crate::transform::{fit, scaled};

/// A sample whose labels are transformed together with its image.
pub trait Movable: Sized {
    /// Returns the width and height of its image in pixels.
    fn size(&self) -> (u32, u32);

    /// Resizes the sample to another width and height.
    ///
    /// # Errors
    /// [`DataError::Resize`] if a side is zero or too large.
    fn resize(self, width: u32, height: u32) -> Result<Self, DataError>;

    /// Flips it horizontally, in place.
    fn flip_horizontal(&mut self);
}

/// Resizes a sample to fit into a long and a short edge, if these are given, and scales it by `factor`.
pub(crate) fn scale<S: Movable>(
    sample: S,
    edges: Option<[u32; 2]>,
    factor: f64,
) -> Result<S, DataError> {
    let (width, height) = sample.size();
    let base = edges.map_or(1.0, |edges| fit(width, height, edges));
    let (width, height) = scaled(width, height, base * factor);
    sample.resize(width, height)
}

/// Flips a sample horizontally with a probability.
pub(crate) fn flip<S: Movable>(sample: &mut S, probability: f32, rng: &mut impl Rng) {
    if rng.random::<f32>() < probability {
        sample.flip_horizontal();
    }
}
