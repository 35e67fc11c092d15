//! Samples whose image moves together with what is known of it.

use rand::Rng;

use crate::error::DataError;
use crate::transform::{fit, scaled};

/// A sample whose image moves together with what is known of it.
pub trait Movable: Sized {
    /// Width and height of its image in pixels.
    fn size(&self) -> (u32, u32);

    /// The sample at another width and height.
    ///
    /// # Errors
    /// [`DataError::Resize`] if a side is zero or too large.
    fn resize(self, width: u32, height: u32) -> Result<Self, DataError>;

    /// Mirrors it left to right, in place.
    fn flip_horizontal(&mut self);
}

/// A sample times `factor`, after it was fitted into a long and a short edge, if these are given.
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

/// Mirrors a sample with a probability.
pub(crate) fn flip<S: Movable>(sample: &mut S, probability: f32, rng: &mut impl Rng) {
    if rng.random::<f32>() < probability {
        sample.flip_horizontal();
    }
}
