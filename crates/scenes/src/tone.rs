//! Exposure, tone curve and sRGB.

use std::sync::OnceLock;

use super::geometry::{Vec3, vec3};

/// Entries of the sRGB table: fine enough that no two neighbours differ by more than a byte.
const STEPS: usize = 4096;

/// The factor that scales the picture to the brightness `key`.
///
/// Every pixel counts as `light / (light + 1)`, so that a few lamps do not darken the rest.
pub(super) fn exposure(light: &[Vec3], key: f32) -> f32 {
    let sum = light.iter().fold(0.0_f32, |sum, light| {
        let bright = light.dot(vec3(0.2126, 0.7152, 0.0722)).max(0.0);
        sum + bright / (bright + 1.0)
    });
    let mean = sum / (light.len().max(1)) as f32;
    let bright = mean / (1.0 - mean).max(1e-3);
    // Only part of the way: a dark place should still look darker than a bright one.
    let wanted = 0.34 * key;
    let full = wanted / bright.max(1e-3);
    full.sqrt() * full.sqrt().sqrt().clamp(0.5, 1.9)
}

/// The sRGB values of a linear colour, 0 to 255, not yet rounded.
pub(super) fn develop(light: Vec3) -> [f32; 3] {
    let luminance = light.dot(vec3(0.2126, 0.7152, 0.0722));
    // A touch more colour than the curve leaves.
    let vivid = Vec3::ONE * luminance + (light - Vec3::ONE * luminance) * 1.03;
    [vivid.x, vivid.y, vivid.z].map(|value| {
        let curved = curve(value.max(0.0));
        let table = srgb();
        let place = curved * (STEPS - 1) as f32;
        let below = (place as usize).min(STEPS - 2);
        let share = place - below as f32;
        table[below] + (table[below + 1] - table[below]) * share
    })
}

/// A film-like curve from light to 0..1 (K. Narkowicz, "ACES filmic tone mapping curve", 2015).
fn curve(light: f32) -> f32 {
    let light = light * 0.9;
    (light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)).clamp(0.0, 1.0)
}

/// 0 to 255 for linear values from 0 to 1.
fn srgb() -> &'static [f32] {
    static TABLE: OnceLock<Vec<f32>> = OnceLock::new();
    TABLE.get_or_init(|| {
        (0..STEPS)
            .map(|step| {
                let linear = step as f32 / (STEPS - 1) as f32;
                let encoded = if linear <= 0.003_130_8 {
                    12.92 * linear
                } else {
                    1.055 * libm::powf(linear, 1.0 / 2.4) - 0.055
                };
                encoded * 255.0
            })
            .collect()
    })
}
