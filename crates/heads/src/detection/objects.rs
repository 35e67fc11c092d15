//! What is in an image, and what a detector finds there.

use serde::{Deserialize, Serialize};

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

/// What a batch is trained on, `[batch]` each.
#[derive(Debug, Clone, Copy)]
pub struct Truth<'a, F> {
    /// The objects.
    pub objects: &'a [Objects],
    /// `[height, width]` of the images without padding.
    pub sizes: &'a [[usize; 2]],
    /// Says of an image, an object of it and bounds which parts of the bounds belong to the object,
    /// `[MASK, MASK]` of [`mask_head`](super::mask_head); asked only where there is a mask head.
    pub mask: F,
    /// Of what is drawn.
    pub seed: u64,
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

/// An object with its mask.
#[derive(Debug, Clone, PartialEq)]
pub struct Segmented {
    /// Where and what.
    pub object: Detected,
    /// How sure every part of its bounds is to belong to it, `[MASK, MASK]` of
    /// [`mask_head`](super::mask_head); none without a mask head.
    pub mask: Option<Vec<f32>>,
}

/// What of the outputs of a detector becomes a detection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectionLimits {
    /// Least score.
    pub score: f32,
    /// Most candidates of a level of a dense detector; others count their regions themselves.
    pub per_level: usize,
    /// IoU from which on the better of two of a class suppresses the other.
    pub overlap: f32,
    /// Most detections of an image.
    pub per_image: usize,
}

impl Default for DetectionLimits {
    /// mmdetection's.
    fn default() -> Self {
        Self {
            score: 0.05,
            per_level: 1000,
            overlap: 0.5,
            per_image: 100,
        }
    }
}

impl DetectionLimits {
    /// What is wrong with the numbers, if anything: the key, the value and what would be right.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and its value.
    pub fn validate(&self) -> Result<(), String> {
        let shares = [("score", self.score), ("overlap", self.overlap)];
        let counts = [("per_level", self.per_level), ("per_image", self.per_image)];
        for (key, share) in shares {
            // A score of 1 has no logit.
            if !(0.0..1.0).contains(&share) {
                return Err(format!("limits.{key} = {share}; it must be in 0..1"));
            }
        }
        for (key, count) in counts {
            if count == 0 {
                return Err(format!("limits.{key} = 0; it must be at least 1"));
            }
        }
        Ok(())
    }
}
