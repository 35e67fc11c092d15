//! Label maps: the class of every pixel.

use super::batch::BatchLabels;
use super::map::PixelMap;
use super::side_by_side::side_by_side;
use super::tally::LabelTally;
use crate::task::LabelKind;

/// The label of pixels that neither train nor score.
pub const IGNORE: u8 = 255;

/// The largest number of classes a label map can hold: 255 is [`IGNORE`].
pub const MAXIMUM_CLASSES: usize = IGNORE as usize;

/// One class index per pixel, row by row, top row first; [`IGNORE`] where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelMap {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `[height, width]` labels.
    pub data: Vec<u8>,
}

impl LabelMap {
    /// A map of one label everywhere.
    pub fn filled(width: u32, height: u32, label: u8) -> Self {
        Self {
            width,
            height,
            data: vec![label; width as usize * height as usize],
        }
    }

    /// The label at column `x` and row `y`, or none outside of the map.
    pub fn get(&self, x: u32, y: u32) -> Option<u8> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let index = y as usize * self.width as usize + x as usize;
        self.data.get(index).copied()
    }
}

impl PixelMap for LabelMap {
    type Label = u8;

    const IGNORED: u8 = IGNORE;
    const NAME: &'static str = "classes";

    fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn labels(&self) -> &[u8] {
        &self.data
    }

    fn labels_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    fn with(&self, (width, height): (u32, u32), data: Vec<u8>) -> Self {
        Self {
            width,
            height,
            data,
        }
    }

    fn fault(&self, kind: LabelKind) -> Option<String> {
        let LabelKind::Binary { .. } = kind else {
            return None;
        };
        let wrong = |label: &&u8| !matches!(**label, 0 | 1 | IGNORE);
        let wrong = self.data.iter().find(wrong)?;
        Some(format!(
            "a label is {wrong}; expected 0, 1 or {IGNORE} (ignore)"
        ))
    }

    fn count(&self, tally: &mut LabelTally) {
        let mut counts = [0u64; 256];
        for &label in &self.data {
            counts[usize::from(label)] += 1;
        }
        for (class, count) in (0..IGNORE).zip(counts).filter(|(_, count)| *count > 0) {
            tally.add_class(class, 1, count);
        }
    }

    fn batch(maps: &[Option<&Self>], size: [usize; 2]) -> BatchLabels {
        BatchLabels::Classes(side_by_side(maps, size, 1, IGNORE, |label, _| label))
    }
}
