//! One batch: its samples padded and normalised, their objects beside them.

use super::sample::Instance;
use super::transform::PreparedSample;
use crate::loader::ImageBatch;
use crate::normalize::Normalization;

/// Samples of different sizes, side by side.
///
/// Each lies in the upper left corner; the rest is 0, the mean colour.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionBatch {
    /// `[count, 3, height, width]` normalised colours.
    pub images: Vec<f32>,
    /// Height in pixels, a multiple of the stride.
    pub height: usize,
    /// Width in pixels, a multiple of the stride.
    pub width: usize,
    /// Number of samples.
    pub count: usize,
    /// `[count]` what is known of each sample.
    pub items: Vec<DetectionTarget>,
}

/// The objects of a sample, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionTarget {
    /// Identifier within the dataset.
    pub id: String,
    /// Number of the image, as result files name it.
    pub image_id: u64,
    /// Height and width of what is not padding.
    pub size: [usize; 2],
    /// Height and width of the image as it was read.
    pub original: [usize; 2],
    /// What height and width were multiplied with.
    pub scale: [f32; 2],
    /// The objects: boxes in pixels of the batch, masks in pixels of the image as it was read, both
    /// mirrored if the sample was.
    pub instances: Vec<Instance>,
}

impl ImageBatch for DetectionBatch {
    fn images(&self) -> &[f32] {
        &self.images
    }

    fn shape(&self) -> [usize; 4] {
        [self.count, 3, self.height, self.width]
    }

    fn ids(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.id.as_str()).collect()
    }
}

impl DetectionBatch {
    /// Puts samples side by side, pads them to a common multiple of `stride`, and normalises them.
    pub fn new(samples: Vec<PreparedSample>, stride: usize, normalization: &Normalization) -> Self {
        let stride = stride.max(1);
        let largest = |side: fn(&PreparedSample) -> u32| {
            let sides = samples.iter().map(side);
            (sides.max().unwrap_or(0) as usize).next_multiple_of(stride)
        };
        let height = largest(|sample| sample.image.height());
        let width = largest(|sample| sample.image.width());
        let count = samples.len();
        let mut images = vec![0.0; count * 3 * height * width];
        let targets = images.chunks_exact_mut((3 * height * width).max(1));
        for (sample, planes) in samples.iter().zip(targets) {
            normalization.write(&sample.image, planes, height, width);
        }
        Self {
            images,
            height,
            width,
            count,
            items: samples.into_iter().map(DetectionTarget::new).collect(),
        }
    }
}

impl DetectionTarget {
    fn new(sample: PreparedSample) -> Self {
        let (width, height) = sample.image.dimensions();
        Self {
            id: sample.id,
            image_id: sample.image_id,
            size: [height as usize, width as usize],
            original: sample.original,
            scale: sample.scale,
            instances: sample.instances,
        }
    }

    /// The objects a detector is trained to find.
    pub fn trained_on(&self) -> impl Iterator<Item = &Instance> {
        let instances = self.instances.iter();
        instances.filter(|instance| instance.is_trained_on())
    }

    /// A box of the batch in pixels of the image as it was read, cut to that image; mirrored if the
    /// sample was.
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

    /// The share that an instance covers of each cell of a box of the batch, `[size, size]`: see
    /// [`super::Mask::crop_and_resize`].
    ///
    /// The box is not cut to the image, so that its cells stay where the features of the box are.
    /// Nothing if the instance has no mask.
    pub fn mask_in(&self, instance: &Instance, bounds: [f32; 4], size: usize) -> Option<Vec<f32>> {
        let mask = instance.mask.as_ref()?;
        Some(mask.crop_and_resize(self.unscaled(bounds), size))
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

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
        let normalization = Normalization {
            mean: [10.0; 3],
            std: [2.0; 3],
        };
        let batch = DetectionBatch::new(vec![sample(3, 5), sample(4, 2)], 4, &normalization);
        assert_eq!((batch.count, batch.height, batch.width), (2, 8, 4));
        assert_eq!(batch.items[0].size, [5, 3]);
        assert_eq!(batch.images.len(), 2 * 3 * 8 * 4);
        assert_eq!(batch.images[..8], [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(batch.images[5 * 4..8 * 4], [0.0; 12]);
        let second = &batch.images[3 * 8 * 4..];
        assert_eq!(second[..8], [1.0; 8]);
        assert_eq!(second[8..32], [0.0; 24]);
        assert_eq!(DetectionBatch::new(Vec::new(), 4, &normalization).height, 0);
    }

    #[test]
    fn boxes_return_to_the_original() {
        let target = DetectionTarget::new(sample(5, 5));
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
