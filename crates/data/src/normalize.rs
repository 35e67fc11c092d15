//! Normalisation of images for a backbone.

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::transform::invalid;

/// Mean and standard deviation of red, green and blue, in units of 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Subtracted from red, green and blue.
    pub mean: [f32; 3],
    /// Divides red, green and blue.
    pub std: [f32; 3],
}

impl Normalization {
    /// Statistics of ImageNet, which Swin and most backbones use.
    ///
    /// A backbone of the table has its own statistics; these are for reading data without one.
    pub const IMAGENET: Self = Self {
        mean: [123.675, 116.28, 103.53],
        std: [58.395, 57.12, 57.375],
    };

    /// `(value - 127) / 128`, which EfficientNet-Lite uses.
    pub const EFFICIENTNET_LITE: Self = Self {
        mean: [127.0; 3],
        std: [128.0; 3],
    };

    /// Returns the colour that is nearly 0 after normalisation: the rounded mean.
    pub const fn mean_color(&self) -> [u8; 3] {
        let [red, green, blue] = self.mean;
        // Rounded: a cast cuts off, and keeps within a byte.
        [(red + 0.5) as u8, (green + 0.5) as u8, (blue + 0.5) as u8]
    }

    /// Checks that all numbers are finite and deviations are positive.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] for the first invalid value.
    pub fn validate(&self) -> Result<(), DataError> {
        if !self.mean.iter().all(|mean| mean.is_finite()) {
            return Err(invalid(
                "normalization.mean",
                self.mean,
                "three finite numbers in units of 0 to 255",
            ));
        }
        if !self.std.iter().all(|std| std.is_finite() && *std > 0.0) {
            return Err(invalid(
                "normalization.std",
                self.std,
                "three positive numbers in units of 0 to 255",
            ));
        }
        Ok(())
    }

    /// Normalises an image: `[height, width, 3]` bytes to `[3, height, width]` floats.
    pub fn apply(&self, image: &RgbImage) -> Vec<f32> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let mut planes = vec![0.0; 3 * height * width];
        self.write(image, &mut planes, height, width);
        planes
    }

    /// Normalises an image into the upper left corner of `planes`, `[3, height, width]`, and does not change
    /// the rest; the image is cropped if it does not fit.
    pub(crate) fn write(&self, image: &RgbImage, planes: &mut [f32], height: usize, width: usize) {
        if width == 0 || height == 0 || image.width() == 0 {
            return;
        }
        // A table per channel: the division is done 768 times instead of once per pixel.
        let tables: [[f32; 256]; 3] = std::array::from_fn(|channel| {
            std::array::from_fn(|value| (value as f32 - self.mean[channel]) / self.std[channel])
        });
        let rows = image.as_raw().chunks_exact(3 * image.width() as usize);
        for (channel, plane) in planes.chunks_exact_mut(height * width).enumerate().take(3) {
            let table = &tables[channel];
            for (source, target) in rows.clone().zip(plane.chunks_exact_mut(width)) {
                for (pixel, value) in source.chunks_exact(3).zip(target) {
                    *value = table[usize::from(pixel[channel])];
                }
            }
        }
    }
}

impl Default for Normalization {
    fn default() -> Self {
        Self::IMAGENET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_colour_is_rounded() {
        assert_eq!(Normalization::IMAGENET.mean_color(), [124, 116, 104]);
        assert_eq!(Normalization::EFFICIENTNET_LITE.mean_color(), [127; 3]);
    }

    #[test]
    fn planes_follow_each_other() {
        let image = RgbImage::from_fn(2, 1, |x, _| image::Rgb([x as u8, 10 + x as u8, 20]));
        let normalization = Normalization {
            mean: [0.0, 10.0, 20.0],
            std: [1.0, 2.0, 4.0],
        };
        assert_eq!(normalization.apply(&image), [0.0, 1.0, 0.0, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn a_zero_deviation_is_refused() {
        let normalization = Normalization {
            mean: [0.0; 3],
            std: [1.0, 0.0, 1.0],
        };
        let error = normalization.validate().unwrap_err().to_string();
        assert!(error.contains("normalization.std"), "{error}");
    }
}
