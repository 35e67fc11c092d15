//! The distance of the surface at every pixel.

use super::batch::BatchLabels;
use super::map::PixelMap;
use super::side_by_side::side_by_side;
use super::tally::LabelTally;
use crate::task::LabelKind;

/// The distance of the visible surface along the optical axis.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthMap {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `[height, width]` distances in metres, 0 to be ignored.
    pub data: Vec<f32>,
}

impl PixelMap for DepthMap {
    type Label = f32;

    const IGNORED: f32 = 0.0;
    const NAME: &'static str = "distances";

    fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn labels(&self) -> &[f32] {
        &self.data
    }

    fn labels_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    fn with(&self, (width, height): (u32, u32), data: Vec<f32>) -> Self {
        Self {
            width,
            height,
            data,
        }
    }

    fn fault(&self, _: LabelKind) -> Option<String> {
        let right = |depth: &f32| depth.is_finite() && *depth >= 0.0;
        let wrong = self.data.iter().find(|depth| !right(depth))?;
        Some(format!(
            "a depth is {wrong}; expected positive numbers, or 0 to be ignored"
        ))
    }

    fn count(&self, tally: &mut LabelTally) {
        for depth in self.data.iter().filter(|depth| **depth > 0.0) {
            tally.add_depth([f64::from(*depth); 3]);
        }
    }

    fn batch(maps: &[Option<&Self>], size: [usize; 2]) -> BatchLabels {
        let channels = 1;
        let data = side_by_side(maps, size, channels, 0.0, |depth, _| depth);
        BatchLabels::Values { channels, data }
    }

    /// What is larger is nearer.
    fn zoom(&mut self, factor: f32) {
        self.data.iter_mut().for_each(|depth| *depth /= factor);
    }
}
