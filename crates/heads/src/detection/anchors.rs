//! Anchors: boxes of several sizes and shapes at every position of a feature pyramid.

use super::bounds::Bounds;
use crate::maps::positions;

/// Generates the anchors of every level of a pyramid.
///
/// A level's anchors have the areas `(size scale)^2` and the given ratios of height to width; ratios vary
/// slower than scales. They are centred on the upper left corner of every cell, as in mmdetection, without
/// rounding and without an offset of half a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct AnchorGenerator {
    /// Stride of every level in pixels.
    pub strides: Vec<f32>,
    /// Side of a square anchor with scale 1 in pixels, by level.
    pub sizes: Vec<f32>,
    /// Factors of the side.
    pub scales: Vec<f32>,
    /// Ratios of height to width.
    pub ratios: Vec<f32>,
}

impl AnchorGenerator {
    /// The anchors of RetinaNet (Lin et al. 2017, arXiv 1708.02002): three scales per octave from a size of
    /// four strides, three ratios.
    pub fn retinanet(strides: &[f32]) -> Self {
        let scales = (0..3).map(|step| 4.0 * 2f32.powf(step as f32 / 3.0));
        Self {
            strides: strides.to_vec(),
            sizes: strides.to_vec(),
            scales: scales.collect(),
            ratios: vec![0.5, 1.0, 2.0],
        }
    }

    /// The anchors of a region proposal network on a pyramid (Lin et al. 2017, arXiv 1612.03144): one scale
    /// with a size of eight strides, three ratios.
    pub fn proposals(strides: &[f32]) -> Self {
        Self {
            scales: vec![8.0],
            ..Self::retinanet(strides)
        }
    }

    /// Returns the number of anchors per position.
    pub fn per_position(&self) -> usize {
        self.scales.len() * self.ratios.len()
    }

    /// The anchors centred on the origin.
    fn base(&self, level: usize) -> Vec<Bounds> {
        let size = self.sizes[level];
        let shapes = self.ratios.iter().flat_map(|ratio| {
            let height = ratio.sqrt();
            let scales = self.scales.iter();
            scales.map(move |scale| [size * scale * height, size * scale / height])
        });
        let centred =
            |[height, width]: [f32; 2]| [-width / 2.0, -height / 2.0, width / 2.0, height / 2.0];
        shapes.map(centred).collect()
    }

    /// Returns the width and height of the anchors of a position.
    pub fn sides(&self, level: usize) -> Vec<[f32; 2]> {
        let sides = |[left, top, right, bottom]: Bounds| [right - left, bottom - top];
        self.base(level).into_iter().map(sides).collect()
    }

    /// Returns the anchors of a level of `[height, width]` cells, row by row, with all anchors of a cell together.
    pub fn level(&self, level: usize, [height, width]: [usize; 2]) -> Vec<Bounds> {
        let base = self.base(level);
        let stride = self.strides[level];
        let mut anchors = Vec::with_capacity(height * width * base.len());
        for cell in 0..height * width {
            let [x, y] = [cell % width, cell / width].map(|place| place as f32 * stride);
            let moved =
                |[left, top, right, bottom]: &Bounds| [left + x, top + y, right + x, bottom + y];
            anchors.extend(base.iter().map(moved));
        }
        anchors
    }

    /// Whether the cell of an anchor is inside an image of `size` in a padded batch. Cells outside have no anchors.
    pub fn is_inside(
        &self,
        level: usize,
        [_, width]: [usize; 2],
        index: usize,
        size: [usize; 2],
    ) -> bool {
        self.cell_is_inside(level, width, index / self.per_position(), size)
    }

    fn cell_is_inside(&self, level: usize, width: usize, cell: usize, size: [usize; 2]) -> bool {
        let stride = self.strides[level];
        cell / width < positions(size[0], stride) && cell % width < positions(size[1], stride)
    }

    /// Returns 0 for every cell that [is inside](Self::is_inside) its image and negative infinity for the
    /// others, `[images, height * width]`; `None` if all are inside.
    pub fn outside(
        &self,
        level: usize,
        [height, width]: [usize; 2],
        sizes: &[[usize; 2]],
    ) -> Option<Vec<f32>> {
        let image = |size: &[usize; 2]| {
            let size = *size;
            (0..height * width).map(move |cell| {
                let is_inside = self.cell_is_inside(level, width, cell, size);
                if is_inside { 0.0 } else { f32::NEG_INFINITY }
            })
        };
        let outside: Vec<f32> = sizes.iter().flat_map(image).collect();
        outside.iter().any(|term| *term < 0.0).then_some(outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_counted_by_hand() {
        let generator = AnchorGenerator {
            strides: vec![8.0, 16.0],
            sizes: vec![8.0, 16.0],
            scales: vec![1.0, 2.0],
            ratios: vec![4.0, 1.0],
        };
        assert_eq!(generator.per_position(), 4);
        let anchors = generator.level(1, [2, 3]);
        assert_eq!(anchors.len(), 24);
        // Four times as high as wide, 16^2 large; then 32^2; then squares.
        assert_eq!(anchors[0], [-4.0, -16.0, 4.0, 16.0]);
        assert_eq!(anchors[1], [-8.0, -32.0, 8.0, 32.0]);
        assert_eq!(anchors[2], [-8.0, -8.0, 8.0, 8.0]);
        // The second line's last cell.
        assert_eq!(anchors[22], [24.0, 8.0, 40.0, 24.0]);
    }

    /// Patches of 14 pixels, enlarged four times and twice.
    #[test]
    fn strides_that_are_no_whole_numbers() {
        let generator = AnchorGenerator::proposals(&[3.5, 7.0]);
        let side = |[left, _, right, _]: Bounds| right - left;
        let anchors = generator.level(0, [8, 8]);
        // The ratios are 0.5, 1 and 2: the second is a square of eight strides.
        assert_eq!(side(anchors[1]), 28.0);
        let [left, top, ..] = anchors[3 * (8 + 3) + 1];
        assert_eq!([left, top], [3.0 * 3.5 - 14.0, 3.5 - 14.0]);
        let inside = |index: usize| generator.is_inside(0, [8, 8], 3 * index, [28, 22]);
        assert!(inside(7 * 8 + 6), "22 pixels reach into a seventh column");
        assert!(!inside(7));
    }

    #[test]
    fn an_image_ends_inside_its_batch() {
        let generator = AnchorGenerator::proposals(&[4.0]);
        let inside = |index: usize| generator.is_inside(0, [8, 8], 3 * index, [17, 32]);
        assert!(inside(0));
        assert!(inside(4 * 8 + 7), "17 pixels reach into a fifth line");
        assert!(!inside(5 * 8));
        let outside = generator.outside(0, [8, 8], &[[32, 32], [17, 32]]).unwrap();
        assert_eq!(outside[..64 + 5 * 8], [0.0; 64 + 5 * 8]);
        assert_eq!(outside[64 + 5 * 8..], [f32::NEG_INFINITY; 3 * 8]);
        assert_eq!(generator.outside(0, [8, 8], &[[32, 29]]), None);
    }
}
