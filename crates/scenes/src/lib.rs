//! Synthetic scenes: rendered pictures with an exact label for every task.
//!
//! A scene is a function of a seed and an index. It is composed (a place, a time of day, a group of figures and
//! solids, surrounding objects, a camera), rendered with one ray per pixel and more where neighbours differ,
//! and labelled by the same ray through the pixel's centre. It needs no files and no GPU, so it is the built-in
//! default of the command line.
//!
//! # Determinism
//! The same seed and index produce the same bytes on every machine and with any number of threads. Only
//! additions, multiplications, divisions and square roots, which IEEE 754 defines to the last bit, come from
//! the standard library; all other functions are those of `libm`, random numbers are ChaCha8, and sums have a
//! fixed order. One scene is rendered by one thread; a loader renders several at once.
//!
//! # Labels
//! All maps have `height * width` values, row by row. [`CLASSES`] are the semantic classes and [`PARTS`] the
//! parts of figures. The colour does not reveal the class: surfaces, clothes, grounds and walls use the same
//! palettes and patterns.
//!
//! ```
//! use gradway_scenes::{SceneConfig, render};
//!
//! let config = SceneConfig { width: 48, height: 32, ..SceneConfig::default() };
//! let scene = render(&config, 7);
//! assert_eq!(scene.image.dimensions(), (48, 32));
//! assert_eq!(scene.depth.len(), 48 * 32);
//! ```

mod atmosphere;
mod camera;
mod figure;
mod furnish;
mod geometry;
mod interior;
mod labels;
mod layout;
mod light;
mod material;
mod noise;
mod outdoors;
mod palette;
mod pose;
mod prop;
mod random;
mod render;
mod sample;
mod setting;
mod shade;
mod shadow;
mod shape;
mod stage;
mod surface;
#[cfg(test)]
mod tests;
mod tile;
mod tone;
mod tree;
mod walls;
mod world;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use thiserror::Error;

use random::Random;

pub use labels::boundaries;

/// The label of pixels that are ignored in training and evaluation.
pub const IGNORE: u8 = 255;

/// Names of the semantic classes, in label order.
///
/// Sky includes whatever is more than 150 m away. Walls are those of rooms with their windows, pictures and
/// skirting boards, garden walls and buildings. Ground includes floors, rugs and hills. Trees include potted
/// plants. Clutter is small objects: stones, books, bottles, cups.
pub const CLASSES: &[&str] = &[
    "sky", "wall", "ground", "box", "ball", "cylinder", "cone", "ring", "figure", "tree", "lamp",
    "clutter",
];

/// One colour per class, to display label maps.
pub const PALETTE: &[[u8; 3]] = &[
    [137, 196, 244],
    [160, 141, 124],
    [108, 122, 84],
    [214, 69, 65],
    [244, 179, 80],
    [65, 105, 200],
    [155, 89, 182],
    [38, 180, 170],
    [250, 128, 160],
    [30, 130, 60],
    [250, 235, 100],
    [90, 60, 50],
];

/// Names of the parts of figures, in label order.
pub const PARTS: &[&str] = &[
    "background",
    "head",
    "torso",
    "upper arms",
    "lower arms and hands",
    "upper legs",
    "lower legs and feet",
];

/// The semantic classes; the discriminant is the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Class {
    Sky,
    Wall,
    Ground,
    Box,
    Ball,
    Cylinder,
    Cone,
    Ring,
    Figure,
    Tree,
    Lamp,
    Clutter,
}

impl Class {
    /// Whether it is a class of countable objects: every class but sky, wall and ground.
    fn is_thing(self) -> bool {
        self as u8 > Self::Ground as u8
    }
}

/// The parts of figures; the discriminant is the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Part {
    Head = 1,
    Torso,
    UpperArms,
    LowerArms,
    UpperLegs,
    LowerLegs,
}

/// Configuration of synthetic scenes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SceneConfig {
    /// Width of the pictures in pixels.
    pub width: u32,
    /// Height of the pictures in pixels.
    pub height: u32,
    /// Seed of the scenes.
    pub seed: u64,
    /// Rays per pixel where neighbouring pixels differ; 1 disables anti-aliasing. Labels always come from the
    /// ray through the centre.
    pub samples: u32,
    /// Standard deviation of the sensor noise, in units of 0 to 255.
    pub noise: f32,
    /// Minimum number of visible pixels of an instance; smaller objects still have a class.
    pub minimum_instance_pixels: u32,
}

impl Default for SceneConfig {
    fn default() -> Self {
        Self {
            width: 192,
            height: 160,
            seed: 0,
            samples: 3,
            noise: 1.6,
            minimum_instance_pixels: 12,
        }
    }
}

impl SceneConfig {
    /// Checks that all values are in range.
    ///
    /// # Errors
    /// [`SceneError`] with the first key that is out of range.
    pub fn validate(&self) -> Result<(), SceneError> {
        let invalid = |key, value: &dyn ToString, expected| SceneError {
            key,
            value: value.to_string(),
            expected,
        };
        for (key, edge) in [("scene.width", self.width), ("scene.height", self.height)] {
            if !(8..=8192).contains(&edge) {
                return Err(invalid(key, &edge, "8 to 8192 pixels"));
            }
        }
        if !(1..=64).contains(&self.samples) {
            return Err(invalid("scene.samples", &self.samples, "1 to 64 rays"));
        }
        if !(0.0..=64.0).contains(&self.noise) {
            return Err(invalid("scene.noise", &self.noise, "0 to 64"));
        }
        Ok(())
    }
}

/// An invalid value of a [`SceneConfig`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key} = {value}; expected {expected}")]
pub struct SceneError {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// The expected values.
    pub expected: &'static str,
}

/// An object in the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Semantic class, an index into [`CLASSES`].
    pub class: u8,
    /// Smallest box around the visible pixels: left, top, right, bottom in pixels, the right and
    /// the bottom edge exclusive.
    pub bounds: [u32; 4],
    /// 1 where the object is visible, else 0; `height * width`.
    pub mask: Vec<u8>,
}

/// A picture and its labels; every map is `height * width`, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The picture.
    pub image: RgbImage,
    /// Semantic class of every pixel, an index into [`CLASSES`].
    pub classes: Vec<u8>,
    /// The visible objects: boxes, balls, cylinders, cones, rings, figures, trees, lamps and clutter, in the
    /// order in which the scene was built.
    pub instances: Vec<Instance>,
    /// Part of a figure, an index into [`PARTS`]; 255 everywhere if no figure is visible.
    pub parts: Vec<u8>,
    /// 1 on the group that the picture is composed around (figures, solids and what they stand on), 0 on
    /// everything else, such as trees, lamps, clutter and objects farther back.
    pub saliency: Vec<u8>,
    /// Unit normal in camera coordinates: x to the right, y up, z towards the camera; zero on sky. It points
    /// towards the camera along the pixel's ray, and a horizontal flip negates x. Bumps that affect only the
    /// shading are not included.
    pub normals: Vec<[f32; 3]>,
    /// Distance along the optical axis in metres; 0 on sky, where there is none.
    pub depth: Vec<f32>,
    /// 1 on both sides of a boundary between objects, or between background classes.
    pub edges: Vec<u8>,
}

/// The sensor noise of one picture.
#[derive(Debug, Clone, Copy)]
struct SceneNoise {
    amplitude: f32,
    seed: u32,
}

/// Renders the scene with this index of those that `config` describes.
///
/// It never fails, but the configuration must pass [`SceneConfig::validate`] for a meaningful result.
pub fn render(config: &SceneConfig, index: u64) -> Scene {
    let mut random = Random::new(config.seed, index);
    // Drawn first, so that the scene does not depend on what is done with the noise.
    let noise = SceneNoise {
        amplitude: config.noise,
        seed: random.bits(),
    };
    let (world, camera) = layout::compose(&mut random, [config.width, config.height]);
    let buffers = render::trace(&world, &camera);
    let image = render::develop(&world, &camera, &buffers, config, noise);
    labels::label(&world, &camera, &buffers, config, image)
}
