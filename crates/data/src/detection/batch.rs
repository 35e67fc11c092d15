//! A batch of images with their objects.

use super::sample::Instance;
use super::transform::PreparedSample;
use crate::batch::{Batch, BatchItem, Prepared};
use crate::input::NetworkInput;

/// A batch of images of different sizes with their objects.
pub type DetectionBatch = Batch<DetectionTarget>;

/// The objects of a sample, and its relation to the original image.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionTarget {
    /// Identifier within the dataset.
    pub id: String,
    /// Image identifier in result files.
    pub image_id: u64,
    /// Height and width without padding.
    pub size: [usize; 2],
    /// Height and width of the original image.
    pub original: [usize; 2],
    /// Scale of height and width.
    pub scale: [f32; 2],
    /// The objects: boxes in pixels of the batch, masks in pixels of the original image, both flipped if the
    /// sample was.
    pub instances: Vec<Instance>,
}

impl BatchItem for DetectionTarget {
    fn id(&self) -> &str {
        &self.id
    }

    fn size(&self) -> [usize; 2] {
        self.size
    }
}

impl DetectionBatch {
    /// Creates a batch: pads samples to a common multiple of the network's stride, and normalises them.
    pub fn new(samples: Vec<PreparedSample>, input: &NetworkInput) -> Self {
        let pictures = samples.into_iter().map(PreparedSample::into_picture);
        Self::padded(pictures.collect(), input)
    }
}

impl PreparedSample {
    fn into_picture(self) -> Prepared<DetectionTarget> {
        let (width, height) = self.image.dimensions();
        let item = DetectionTarget {
            id: self.id,
            image_id: self.image_id,
            size: [height as usize, width as usize],
            original: self.original,
            scale: self.scale,
            instances: self.instances,
        };
        Prepared {
            image: self.image,
            item,
        }
    }
}

impl DetectionTarget {
    /// Returns the objects that a detector is trained on.
    pub fn trained_on(&self) -> impl Iterator<Item = &Instance> {
        let instances = self.instances.iter();
        instances.filter(|instance| instance.is_trained_on())
    }

    /// Converts a box of the batch to pixels of the original image and clips it; it is flipped if the sample was.
    pub fn to_original(&self, bounds: [f32; 4]) -> [f32; 4] {
        let [left, top, right, bottom] = self.unscaled(bounds);
        let [height, width] = self.original.map(|side| side as f32);
        let across = |x: f32| x.clamp(0.0, width);
        let down = |y: f32| y.clamp(0.0, height);
        [across(left), down(top), across(right), down(bottom)]
    }

    fn unscaled(&self, [left, top, right, bottom]: [f32; 4]) -> [f32; 4] {
        let [down, across] = self.scale;
        [left / across, top / down, right / across, bottom / down]
    }

    /// Returns the share that an instance covers of each cell of a box of the batch, `[size, size]`, see
    /// [`super::Mask::crop_and_resize`]; `None` if the instance has no mask.
    ///
    /// The box is not clipped to the image, so that its cells stay aligned with the features of the box.
    pub fn mask_in(&self, instance: &Instance, bounds: [f32; 4], size: usize) -> Option<Vec<f32>> {
        let mask = instance.mask.as_ref()?;
        Some(mask.crop_and_resize(self.unscaled(bounds), size))
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::normalize::Normalization;

    fn sample(width: u32, height: u32) -> PreparedSample {
        PreparedSample {
            id: "a".into(),
            image_id: 3,
            image: RgbImage::from_pixel(width, height, Rgb([12, 12, 12])),
            original: [10, 20],
            scale: [0.5, 0.25],
            instances: Vec::new(),
        }
    }

    #[test]
    fn padding_is_zero_and_a_multiple_of_the_stride() {
        let input = NetworkInput {
            normalization: Normalization {
                mean: [10.0; 3],
                std: [2.0; 3],
            },
            stride: 4,
        };
        let batch = DetectionBatch::new(vec![sample(3, 5), sample(4, 2)], &input);
        assert_eq!((batch.count, batch.height, batch.width), (2, 8, 4));
        assert_eq!(batch.items[0].size, [5, 3]);
        assert_eq!(batch.images.len(), 2 * 3 * 8 * 4);
        assert_eq!(batch.images[..8], [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(batch.images[5 * 4..8 * 4], [0.0; 12]);
        let second = &batch.images[3 * 8 * 4..];
        assert_eq!(second[..8], [1.0; 8]);
        assert_eq!(second[8..32], [0.0; 24]);
        assert_eq!(DetectionBatch::new(Vec::new(), &input).height, 0);
    }

    #[test]
    fn boxes_return_to_the_original() {
        let target = sample(5, 5).into_picture().item;
        assert_eq!(
            target.to_original([1.0, 1.0, 2.5, 4.0]),
            [4.0, 2.0, 10.0, 8.0]
        );
        // The padding and what lies beyond it is cut off.
        assert_eq!(
            target.to_original([-1.0, -1.0, 8.0, 8.0]),
            [0.0, 0.0, 20.0, 10.0]
        );
    }
}
