//! What is in an image, and what a detector finds there.

use super::bounds::Bounds;

/// The objects of an image that a detector is to find.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects {
    /// Where they are, in pixels of the image as the network sees it.
    pub bounds: Vec<Bounds>,
    /// Their classes.
    pub classes: Vec<usize>,
}

impl Objects {
    /// The same, all of one class.
    pub fn without_classes(&self) -> Self {
        Self {
            bounds: self.bounds.clone(),
            classes: vec![0; self.classes.len()],
        }
    }
}

/// A detected object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detected {
    /// Where it is, in pixels of the image as the network sees it.
    pub bounds: Bounds,
    /// What it is.
    pub class: usize,
    /// How sure that is, from 0 to 1.
    pub score: f32,
}
