//! From a world to a picture and its labels.

use image::RgbImage;

use super::camera::Camera;
use super::geometry::Vec3;
use super::light::DiscSampler;
use super::random::hash;
use super::sample::{Blockers, Sample};
use super::shade::radiance;
use super::tile::Tiles;
use super::tone;
use super::world::{Hit, World};
use super::{SceneConfig, SceneNoise};

/// Relative difference of neighbouring colours above which a pixel gets more samples.
const CONTRAST: f32 = 0.2;

/// The hits of the rays through the pixel centres, and their light; row by row.
pub(super) struct Buffers {
    pub(super) hits: Vec<Option<Hit>>,
    light: Vec<Vec3>,
    tiles: Tiles,
}

/// Traces the ray through every pixel centre.
pub(super) fn trace(world: &World, camera: &Camera) -> Buffers {
    let [width, height] = camera.size;
    let pixels = width as usize * height as usize;
    let mut buffers = Buffers {
        hits: Vec::with_capacity(pixels),
        light: Vec::with_capacity(pixels),
        tiles: Tiles::new(world, camera),
    };
    let blockers = Blockers::new(world);
    for y in 0..height {
        for x in 0..width {
            let ray = camera.ray(x as f32 + 0.5, y as f32 + 0.5);
            let hit = world.trace_among(&ray, buffers.tiles.at(x, y));
            let sample = Sample {
                pixel: [x, y],
                spread: camera.pixel_spread(),
                shadow_points: DiscSampler::POINTS,
                blockers: &blockers,
            };
            buffers
                .light
                .push(radiance(world, &ray, hit.as_ref(), &sample));
            buffers.hits.push(hit);
        }
    }
    buffers
}

/// Samples pixels at edges again, then exposes and develops the picture.
pub(super) fn develop(
    world: &World,
    camera: &Camera,
    buffers: &Buffers,
    config: &SceneConfig,
    noise: SceneNoise,
) -> RgbImage {
    let [width, height] = camera.size;
    let light = smooth(world, camera, buffers, config.samples);
    let exposure = tone::exposure(&light, world.key);
    let mut picture = RgbImage::new(width, height);
    let rows = picture.as_flat_samples_mut().samples;
    for (index, (pixel, light)) in rows.chunks_exact_mut(3).zip(&light).enumerate() {
        let x = (index % width as usize) as f32 + 0.5;
        let y = (index / width as usize) as f32 + 0.5;
        let across = 2.0 * x / width as f32 - 1.0;
        let above = 2.0 * y / height as f32 - 1.0;
        // Lenses lose a little light towards the corners.
        let vignette = 1.0 - 0.07 * (across * across + above * above);
        let colors = tone::develop(*light * (exposure * vignette));
        for (channel, (byte, value)) in pixel.iter_mut().zip(colors).enumerate() {
            let grain = noise.amplitude * grain(index as u32, channel as u32, noise.seed);
            *byte = (value + grain + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
    picture
}

/// Replaces the light of pixels that differ from a neighbour by the mean of several samples.
fn smooth(world: &World, camera: &Camera, buffers: &Buffers, samples: u32) -> Vec<Vec3> {
    let [width, height] = camera.size.map(|edge| edge as usize);
    let mut light = buffers.light.clone();
    if samples <= 1 {
        return light;
    }
    let blockers = Blockers::new(world);
    let differs = |one: usize, two: usize| {
        let surface = |index: usize| buffers.hits[index].map(|hit| (hit.object, hit.primitive));
        if surface(one) != surface(two) {
            return true;
        }
        let (one, two) = (buffers.light[one], buffers.light[two]);
        let gap = (one - two).abs();
        let sum = one + two;
        gap.x.max(gap.y).max(gap.z) > CONTRAST * (sum.x.max(sum.y).max(sum.z) + 0.06)
    };
    for y in 0..height {
        for x in 0..width {
            let index = y * width + x;
            let edge = (x > 0 && differs(index, index - 1))
                || (x + 1 < width && differs(index, index + 1))
                || (y > 0 && differs(index, index - width))
                || (y + 1 < height && differs(index, index + width));
            if !edge {
                continue;
            }
            let candidates = buffers.tiles.at(x as u32, y as u32);
            let mut sum = buffers.light[index];
            for number in 1..samples {
                let [right, down] = spread(number);
                let ray = camera.ray(x as f32 + right, y as f32 + down);
                let hit = world.trace_among(&ray, candidates);
                let sample = Sample {
                    // Every sample of the pixel turns its shadow rays another way.
                    pixel: [x as u32 + number, y as u32 + (number >> 1)],
                    spread: camera.pixel_spread(),
                    shadow_points: DiscSampler::POINTS / 2,
                    blockers: &blockers,
                };
                sum += radiance(world, &ray, hit.as_ref(), &sample);
            }
            light[index] = sum * (1.0 / samples as f32);
        }
    }
    light
}

/// Point `number` of a sequence that covers the pixel evenly for any number of points; point 0 is its centre
/// (M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018).
fn spread(number: u32) -> [f32; 2] {
    [0.754_877_7_f32, 0.569_840_3].map(|step| {
        let value = 0.5 + step * number as f32;
        value - value.floor()
    })
}

/// Sensor noise: the sum of four uniform bytes, which is nearly normal with standard deviation 1.
fn grain(index: u32, channel: u32, seed: u32) -> f32 {
    let bits = hash(index as i32, channel as i32, 11, seed);
    let sum: u32 = bits.to_le_bytes().into_iter().map(u32::from).sum();
    (sum as f32 - 510.0) * (1.0 / 147.8)
}
