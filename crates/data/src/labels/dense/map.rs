//! What every kind of label map can do.

use super::batch::BatchLabels;
use super::tally::LabelTally;
use crate::plane::{self, Turn};
use crate::task::LabelKind;

/// A map of labels, one a pixel, row by row, top row first: all that depends on what a label is.
///
/// What moves labels has defaults for those that are not blended and have no direction: each comes from the pixel
/// that holds the point, so that it stays a value that occurs.
pub(crate) trait PixelMap: Sized {
    /// The label of a pixel.
    type Label: Copy + PartialEq;

    /// The label of pixels that neither train nor score.
    const IGNORED: Self::Label;
    /// What the labels are, in words.
    const NAME: &'static str;

    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);

    /// The labels.
    fn labels(&self) -> &[Self::Label];

    /// The same, to be changed in place.
    fn labels_mut(&mut self) -> &mut [Self::Label];

    /// A map of other labels, of `size`, width and height, that is the same in all else.
    fn with(&self, size: (u32, u32), labels: Vec<Self::Label>) -> Self;

    /// What is wrong with the labels of a task whose labels are of `kind`, in words; nothing if all are right.
    fn fault(&self, kind: LabelKind) -> Option<String>;

    /// The labels of pictures side by side, on maps of `size`, height and width; pictures without a map are ignored.
    fn batch(maps: &[Option<&Self>], size: [usize; 2]) -> BatchLabels;

    /// Counts the labels, for the report on a dataset.
    fn count(&self, _: &mut LabelTally) {}

    /// The map at another width and height.
    fn resize(&self, size: (u32, u32)) -> Self {
        self.with(size, plane::resize(self.labels(), self.size(), size))
    }

    /// The window of `size` whose first pixel is at `corner`, x and y; it must lie within the map.
    fn crop(&self, corner: [u32; 2], size: (u32, u32)) -> Self {
        let (stride, _) = self.size();
        self.with(size, plane::crop(self.labels(), stride, corner, size))
    }

    /// Mirrors the map left to right.
    fn flip(&mut self) {
        let (width, _) = self.size();
        plane::flip(self.labels_mut(), width);
    }

    /// The map rotated about its centre; what comes from outside is ignored.
    fn rotate(&self, turn: &Turn) -> Self {
        self.with(self.size(), turn.plane(self.labels(), Self::IGNORED))
    }

    /// Changes labels as a picture `factor` times as large shows them.
    fn zoom(&mut self, _: f32) {}
}
