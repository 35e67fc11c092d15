//! Label maps: the class of every pixel.

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
