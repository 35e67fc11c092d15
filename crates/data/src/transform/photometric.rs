//! Photometric distortion: brightness, contrast, saturation and hue, as in SSD and mmsegmentation.
//!
//! Liu et al., *SSD: Single Shot MultiBox Detector*, ECCV 2016.

use image::RgbImage;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{check_range, check_share, invalid};
use crate::error::DataError;

/// Random changes of colour; each is applied independently with `probability`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PhotometricConfig {
    /// Probability of each of the four changes; 0 disables all of them.
    pub probability: f32,
    /// Maximum change of brightness, up or down, in units of 0 to 255.
    pub brightness_delta: f32,
    /// Minimum and maximum factor of contrast.
    pub contrast_range: [f32; 2],
    /// Minimum and maximum factor of saturation.
    pub saturation_range: [f32; 2],
    /// Maximum rotation of the hue in either direction, in degrees (OpenCV uses half degrees: its 18 is 36).
    pub hue_delta: f32,
}

impl Default for PhotometricConfig {
    fn default() -> Self {
        Self {
            probability: 0.5,
            brightness_delta: 32.0,
            contrast_range: [0.5, 1.5],
            saturation_range: [0.5, 1.5],
            hue_delta: 36.0,
        }
    }
}

impl PhotometricConfig {
    /// Returns a configuration without changes of colour.
    pub fn disabled() -> Self {
        Self {
            probability: 0.0,
            ..Self::default()
        }
    }

    /// Checks that all values are valid.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] for the first invalid value.
    pub fn validate(&self) -> Result<(), DataError> {
        check_share("augment.photometric.probability", self.probability)?;
        if !(0.0..=255.0).contains(&self.brightness_delta) {
            return Err(invalid(
                "augment.photometric.brightness_delta",
                self.brightness_delta,
                "0 to 255",
            ));
        }
        let contrast = self.contrast_range;
        check_range("augment.photometric.contrast_range", contrast, 0.0, 10.0)?;
        let saturation = self.saturation_range;
        check_range(
            "augment.photometric.saturation_range",
            saturation,
            0.0,
            10.0,
        )?;
        if !(0.0..=180.0).contains(&self.hue_delta) {
            return Err(invalid(
                "augment.photometric.hue_delta",
                self.hue_delta,
                "0 to 180 degrees",
            ));
        }
        Ok(())
    }

    /// Distorts the colours of an image in place.
    ///
    /// Brightness is first; contrast is second or last, with equal probability.
    pub fn apply(&self, image: &mut RgbImage, rng: &mut impl Rng) {
        if self.probability <= 0.0 {
            return;
        }
        let draw = |rng: &mut _, low: f32, high: f32| {
            // Both numbers are always drawn, so that one change does not shift the others' draws.
            let chance: f32 = Rng::random(rng);
            let value = low + (high - low) * Rng::random::<f32>(rng);
            (chance < self.probability).then_some(value)
        };
        let brightness = draw(rng, -self.brightness_delta, self.brightness_delta);
        let contrast_first: bool = rng.random();
        let contrast = draw(rng, self.contrast_range[0], self.contrast_range[1]);
        let saturation = draw(rng, self.saturation_range[0], self.saturation_range[1]);
        let hue = draw(rng, -self.hue_delta, self.hue_delta);

        let early_contrast = contrast.filter(|_| contrast_first);
        linear(
            image,
            early_contrast.unwrap_or(1.0),
            brightness.unwrap_or(0.0),
        );
        saturate_and_rotate(image, saturation.unwrap_or(1.0), hue.unwrap_or(0.0));
        let late_contrast = contrast.filter(|_| !contrast_first);
        linear(image, late_contrast.unwrap_or(1.0), 0.0);
    }
}

/// Adds `delta`, then multiplies by `factor`, clamping each result to 0 to 255.
fn linear(image: &mut RgbImage, factor: f32, delta: f32) {
    if factor == 1.0 && delta == 0.0 {
        return;
    }
    let table: [u8; 256] = std::array::from_fn(|value| {
        let brightened = (value as f32 + delta).clamp(0.0, 255.0);
        to_byte(brightened * factor)
    });
    for value in image.iter_mut() {
        *value = table[usize::from(*value)];
    }
}

/// Multiplies the saturation and rotates the hue, at constant value (the largest channel).
fn saturate_and_rotate(image: &mut RgbImage, saturation: f32, degrees: f32) {
    if saturation == 1.0 && degrees == 0.0 {
        return;
    }
    for pixel in image.pixels_mut() {
        let [hue, old, value] = rgb_to_hsv(pixel.0);
        let hue = (hue + degrees / 60.0).rem_euclid(6.0);
        pixel.0 = hsv_to_rgb([hue, (old * saturation).min(1.0), value]);
    }
}

/// Hue in sixths of the circle, saturation in 0 to 1, value in 0 to 255.
fn rgb_to_hsv(rgb: [u8; 3]) -> [f32; 3] {
    let [red, green, blue] = rgb.map(f32::from);
    let value = red.max(green).max(blue);
    let chroma = value - red.min(green).min(blue);
    if chroma == 0.0 {
        return [0.0, 0.0, value];
    }
    let hue = if value == red {
        ((green - blue) / chroma).rem_euclid(6.0)
    } else if value == green {
        (blue - red) / chroma + 2.0
    } else {
        (red - green) / chroma + 4.0
    };
    [hue, chroma / value, value]
}

/// The inverse of [`rgb_to_hsv`], rounded.
fn hsv_to_rgb([hue, saturation, value]: [f32; 3]) -> [u8; 3] {
    let channel = |offset: f32| {
        let place = offset + hue;
        let place = if place >= 6.0 { place - 6.0 } else { place };
        let share = place.min(4.0 - place).clamp(0.0, 1.0);
        to_byte(value - value * saturation * share)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

fn to_byte(value: f32) -> u8 {
    (value + 0.5).clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hsv_round_trip_is_exact() {
        for red in (0..=255).step_by(5) {
            for green in (0..=255).step_by(3) {
                for blue in (0..=255).step_by(17) {
                    let rgb = [red as u8, green as u8, blue as u8];
                    assert_eq!(hsv_to_rgb(rgb_to_hsv(rgb)), rgb);
                }
            }
        }
    }

    #[test]
    fn a_third_of_a_turn_swaps_channels() {
        let mut image = RgbImage::from_pixel(1, 1, image::Rgb([200, 50, 20]));
        saturate_and_rotate(&mut image, 1.0, 120.0);
        assert_eq!(image.get_pixel(0, 0).0, [20, 200, 50]);
        saturate_and_rotate(&mut image, 0.0, 0.0);
        assert_eq!(image.get_pixel(0, 0).0, [200, 200, 200]);
    }

    #[test]
    fn brightness_is_limited_before_contrast() {
        let mut image = RgbImage::from_pixel(1, 1, image::Rgb([250, 100, 3]));
        linear(&mut image, 0.5, 20.0);
        assert_eq!(image.get_pixel(0, 0).0, [128, 60, 12]);
    }
}
