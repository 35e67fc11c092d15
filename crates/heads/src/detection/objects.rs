//! True and detected objects of an image.

use serde::{Deserialize, Serialize};

use super::bounds::Bounds;

/// The true objects of an image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects {
    /// Their boxes, in pixels of the network's input image.
    pub bounds: Vec<Bounds>,
    /// Their classes.
    pub classes: Vec<usize>,
}

impl Objects {
    /// Returns the objects with one class for all.
    pub fn without_classes(&self) -> Self {
        Self {
            bounds: self.bounds.clone(),
            classes: vec![0; self.classes.len()],
        }
    }
}

/// The targets of a batch, `[batch]` each.
#[derive(Debug, Clone, Copy)]
pub struct BatchTargets<'a, F> {
    /// The objects.
    pub objects: &'a [Objects],
    /// `[height, width]` of the images without padding.
    pub sizes: &'a [[usize; 2]],
    /// Returns, for an image, one of its objects and a box, the object's mask in the box, `[MASK, MASK]` of
    /// [`mask_head`](super::mask_head). Called only if there is a mask head.
    pub mask: F,
    /// Seed of random samples.
    pub seed: u64,
}

/// A detected object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectedObject {
    /// Its box, in pixels of the network's input image.
    pub bounds: Bounds,
    /// Its class.
    pub class: usize,
    /// Its score, from 0 to 1.
    pub score: f32,
}

/// A detected object with its mask.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentedObject {
    /// The detected object.
    pub object: DetectedObject,
    /// Mask probabilities in its box, `[MASK, MASK]` of [`mask_head`](super::mask_head); `None` without a mask head.
    pub mask: Option<Vec<f32>>,
}

/// Limits on the detections of a detector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectionLimits {
    /// Minimum score.
    pub score: f32,
    /// Maximum number of candidates per level of a dense detector; other detectors have their own limit of regions.
    pub per_level: usize,
    /// IoU threshold of non-maximum suppression within a class.
    pub overlap: f32,
    /// Maximum number of detections per image.
    pub per_image: usize,
}

impl Default for DetectionLimits {
    /// The defaults of mmdetection.
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
    /// Checks the ranges of the numbers.
    ///
    /// # Errors
    ///
    /// A message with the key and its value.
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
