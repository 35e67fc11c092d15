//! Parts of an image, as a network is given them.

use std::collections::BTreeMap;

use super::batch::{DenseBatch, DenseTarget};
use crate::transform::Window;

/// A part of an image, or of the flipped image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its place; in the flipped image if it is part of that.
    pub window: Window,
    /// Whether the image is flipped horizontally first.
    pub is_flipped: bool,
}

impl DenseBatch {
    /// Returns parts of the image at `place` as a batch without labels, padded to multiples of `stride`.
    ///
    /// All parts must have one size, and lie within the image.
    pub fn parts(&self, place: usize, parts: &[Part], stride: usize) -> Self {
        let size = parts.first().map_or([0; 2], |part| part.window.size);
        let [height, width] = size.map(|side| side.next_multiple_of(stride.max(1)));
        let item = &self.items[place];
        let [_, whole_width] = item.size;
        let pixels = self.height * self.width;
        let source = &self.images[3 * place * pixels..][..3 * pixels];
        let mut images = vec![0.0; parts.len() * 3 * height * width];
        let targets = images.chunks_exact_mut((3 * height * width).max(1));
        for (part, target) in parts.iter().zip(targets) {
            let ([top, left], [rows, columns]) = (part.window.start, part.window.size);
            let first = match part.is_flipped {
                false => left,
                true => whole_width - left - columns,
            };
            let planes = source.chunks_exact(pixels.max(1));
            for (source, target) in planes.zip(target.chunks_exact_mut((height * width).max(1))) {
                let lines = source.chunks_exact(self.width.max(1)).skip(top).take(rows);
                for (source, target) in lines.zip(target.chunks_exact_mut(width.max(1))) {
                    let target = &mut target[..columns];
                    target.copy_from_slice(&source[first..][..columns]);
                    if part.is_flipped {
                        target.reverse();
                    }
                }
            }
        }
        let item = DenseTarget {
            id: item.id.clone(),
            size,
            original: size,
            labels: BTreeMap::new(),
        };
        Self {
            images,
            height,
            width,
            count: parts.len(),
            stride,
            items: vec![item; parts.len()],
            scaled: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage, imageops};

    use super::*;
    use crate::batch::Prepared;
    use crate::input::NetworkInput;
    use crate::normalize::Normalization;

    /// Every pixel has its place for a colour, so that none passes for another.
    fn picture(id: u8, height: u32, width: u32) -> Prepared<DenseTarget> {
        let size = [height as usize, width as usize];
        Prepared {
            image: RgbImage::from_fn(width, height, |x, y| Rgb([id, x as u8, y as u8])),
            item: DenseTarget {
                id: id.to_string(),
                size,
                original: size,
                labels: BTreeMap::new(),
            },
        }
    }

    #[test]
    fn a_part_is_the_batch_of_a_crop() {
        let input = NetworkInput {
            normalization: Normalization::IMAGENET,
            stride: 4,
        };
        let pictures = [picture(1, 9, 6), picture(2, 7, 11)];
        let batch = DenseBatch::padded(pictures.to_vec(), &input);
        let window = |start| Window {
            start,
            size: [3, 5],
        };
        let parts: Vec<Part> = [[0, 0], [4, 6], [2, 1], [4, 0]]
            .into_iter()
            .flat_map(|start| {
                [false, true].map(|is_flipped| Part {
                    window: window(start),
                    is_flipped,
                })
            })
            .collect();
        let crops = parts.iter().map(|part| {
            let mut image = pictures[1].image.clone();
            if part.is_flipped {
                imageops::flip_horizontal_in_place(&mut image);
            }
            let [y, x] = part.window.start.map(|start| start as u32);
            let image = imageops::crop_imm(&image, x, y, 5, 3).to_image();
            let item = DenseTarget {
                size: [3, 5],
                original: [3, 5],
                ..pictures[1].item.clone()
            };
            Prepared { image, item }
        });
        // Both are padded with the mean colour, whatever lies beside the part in its image.
        let expected = DenseBatch::padded(crops.collect(), &input);
        assert_eq!(expected.shape(), [8, 3, 4, 8]);
        assert_eq!(batch.parts(1, &parts, 4), expected);
        // The whole of an image is the image alone in a batch.
        let whole = Part {
            window: Window::whole([9, 6]),
            is_flipped: false,
        };
        let alone = DenseBatch::padded(pictures[..1].to_vec(), &input);
        assert_eq!(batch.parts(0, &[whole], 4), alone);
    }
}
