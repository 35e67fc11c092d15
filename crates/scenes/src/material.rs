//! Surfaces: procedural patterns, gloss and glow.

use super::geometry::{Vec3, smoothstep, vec3};
use super::noise::{noise, turbulence};
use super::random::hash_unit;

/// A pattern of two colours. Most are functions of the point in space, so that shapes need no texture
/// coordinates; brick, planks, tiles and windows are flat patterns in the plane that the surface faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// One colour, slightly uneven.
    Plain,
    /// Cubes of alternating colour.
    Checker,
    /// Bands along y.
    Stripes,
    /// Bands at 45 degrees.
    Diagonal,
    /// Sectors around y, like a beach ball.
    Sectors,
    /// Balls of the second colour in a jittered grid.
    Dots,
    /// Veins.
    Marble,
    /// Growth rings around an axis close to x.
    Wood,
    /// Small chips of both colours in two sizes.
    Speckle,
    /// Soft patches in several sizes: grass, earth, plaster, sand.
    Mottle,
    /// Courses of bricks of the first colour, mortar of the second.
    Brick,
    /// Floorboards with grain.
    Planks,
    /// Square tiles of the first colour, joints of the second.
    Tiles,
    /// A facade: panes of the second colour in a wall of the first.
    Windows,
}

/// A pattern, its colours (linear) and its size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Texture {
    pub(super) pattern: Pattern,
    pub(super) first: Vec3,
    pub(super) second: Vec3,
    /// Length of one period in metres.
    pub(super) period: f32,
    pub(super) seed: u32,
}

/// The optical properties of a surface.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Material {
    pub(super) texture: Texture,
    /// Strength of the highlight, 0 for none.
    pub(super) gloss: f32,
    /// The highlight's exponent is 2 to the power of this.
    pub(super) sharpness: u32,
    /// Share of light reflected at normal incidence; it grows towards grazing angles. 0 for no reflection.
    pub(super) mirror: f32,
    /// Light that the surface emits.
    pub(super) glow: Vec3,
    /// Strength and period in metres of bumps, which affect only the shading.
    pub(super) bump: [f32; 2],
}

impl Material {
    /// A matt surface.
    pub(super) fn matt(texture: Texture) -> Self {
        Self {
            texture,
            gloss: 0.0,
            sharpness: 4,
            mirror: 0.0,
            glow: Vec3::ZERO,
            bump: [0.0, 1.0],
        }
    }

    /// A matt surface of one colour.
    pub(super) fn plain(color: Vec3) -> Self {
        Self::matt(Texture {
            pattern: Pattern::Plain,
            first: color,
            second: color,
            period: 0.3,
            seed: 7,
        })
    }

    /// Adds a highlight.
    pub(super) fn glossy(self, gloss: f32, sharpness: u32) -> Self {
        Self {
            gloss,
            sharpness,
            ..self
        }
    }

    /// Adds bumps of this strength and size in metres.
    pub(super) fn bumpy(self, strength: f32, period: f32) -> Self {
        Self {
            bump: [strength, period],
            ..self
        }
    }
}

impl Texture {
    /// The colour at a point of a surface that faces `normal`, both in the shape's coordinates.
    ///
    /// `footprint` is the size of a pixel there in metres: finer detail fades into its mean to avoid aliasing.
    pub(super) fn color(&self, point: Vec3, normal: Vec3, footprint: f32) -> Vec3 {
        let place = point * (1.0 / self.period);
        let detail = 1.0 - smoothstep(0.3, 1.1, footprint / self.period);
        if self.pattern == Pattern::Plain {
            return self.first * (0.96 + 0.08 * noise(place, self.seed));
        }
        let (share, tone) = self.share(place, normal);
        let mean = self.mean_share();
        let share = mean + (share - mean) * detail;
        let tone = 1.0 + (tone - 1.0) * detail;
        self.first.lerp(self.second, share) * tone
    }

    /// The share of the second colour over a large area.
    fn mean_share(&self) -> f32 {
        match self.pattern {
            Pattern::Plain => 0.0,
            Pattern::Dots => 0.25,
            Pattern::Marble => 0.3,
            Pattern::Brick => 0.2,
            Pattern::Planks => 0.45,
            Pattern::Tiles => 0.08,
            Pattern::Windows => 0.3,
            _ => 0.5,
        }
    }

    /// The share of the second colour at `place`, in periods, and a factor of brightness.
    fn share(&self, place: Vec3, normal: Vec3) -> (f32, f32) {
        let seed = self.seed;
        match self.pattern {
            Pattern::Plain => (0.0, 1.0),
            Pattern::Checker => {
                // Shifted a little, so that no face lies exactly between two cubes.
                let cell = |value: f32| (value * 2.0 + 0.013).floor() as i32;
                let sum = cell(place.x)
                    .wrapping_add(cell(place.y))
                    .wrapping_add(cell(place.z));
                (if sum & 1 == 0 { 0.0 } else { 1.0 }, 1.0)
            }
            Pattern::Stripes => (band(place.y), 1.0),
            Pattern::Diagonal => (band((place.x + place.y + place.z) * 0.71), 1.0),
            Pattern::Sectors => {
                let turn = libm::atan2f(place.z, place.x) * (4.0 / std::f32::consts::PI);
                (
                    if turn.floor() as i32 & 1 == 0 {
                        0.0
                    } else {
                        1.0
                    },
                    1.0,
                )
            }
            Pattern::Dots => (dots(place * 1.4, 0.36, seed), 1.0),
            Pattern::Marble => {
                let warp = turbulence(place * 1.5, 4, seed) * 5.0;
                let wave = band_wave(place.x * 0.6 + place.y * 0.8 + warp);
                let vein = smoothstep(0.55, 1.0, wave);
                (vein, 0.94 + 0.12 * noise(place * 0.8, seed ^ 5))
            }
            Pattern::Wood => {
                let bent = place.y + 0.25 * noise(place * 0.6, seed);
                let across = place.z + 0.12 * place.x + 0.25 * noise(place * 0.7, seed ^ 1);
                let radius = (bent * bent + across * across).sqrt() * 3.0;
                let ring = radius - radius.floor();
                let fibre = noise(
                    vec3(place.x * 1.5, place.y * 24.0, place.z * 24.0),
                    seed ^ 2,
                );
                (ring * ring * 0.8 + 0.2 * fibre, 0.9 + 0.2 * fibre)
            }
            Pattern::Speckle => {
                let large = dots(place * 1.6, 0.42, seed);
                let small = dots(place * 3.7, 0.4, seed ^ 3);
                let tint = hash_unit(
                    (place.x * 3.7).floor() as i32,
                    (place.y * 3.7).floor() as i32,
                    (place.z * 3.7).floor() as i32,
                    seed ^ 9,
                );
                (large.max(small * tint), 1.0)
            }
            Pattern::Mottle => {
                let coarse = turbulence(place * 0.35, 3, seed);
                let fine = turbulence(place * 3.0, 2, seed ^ 4);
                let grit = noise(place * 19.0, seed ^ 6) - 0.5;
                (
                    smoothstep(0.25, 0.75, coarse * 0.55 + fine * 0.45) + 0.35 * grit,
                    0.8 + 0.4 * fine + 0.2 * grit,
                )
            }
            Pattern::Brick => {
                let (along, up) = flatten(place, normal);
                let course = (up * 3.0).floor();
                let shifted = along + if course as i32 & 1 == 0 { 0.0 } else { 0.5 };
                let brick = shifted.floor();
                let joint = joint(shifted - brick, 0.045).max(joint(up * 3.0 - course, 0.12));
                let tint = hash_unit(brick as i32, course as i32, 0, seed);
                let grain = noise(place * 14.0, seed);
                (joint, (0.72 + 0.4 * tint) * (0.9 + 0.2 * grain))
            }
            Pattern::Planks => {
                let (along, across) = flatten(place, normal);
                let row = (across * 4.0).floor();
                let shifted = along * 0.55 + hash_unit(row as i32, 1, 2, seed);
                let board = shifted.floor();
                let gap = joint(across * 4.0 - row, 0.04).max(joint(shifted - board, 0.008));
                let tint = hash_unit(row as i32, board as i32, 3, seed);
                let grain = turbulence(vec3(along * 1.6, across * 30.0, tint * 40.0), 2, seed);
                (
                    0.55 * grain + 0.45 * tint,
                    (0.8 + 0.25 * tint) * (1.0 - 0.65 * gap),
                )
            }
            Pattern::Tiles => {
                let (along, across) = flatten(place, normal);
                let (column, row) = (along.floor(), across.floor());
                let joint = joint(along - column, 0.035).max(joint(across - row, 0.035));
                let tint = hash_unit(column as i32, row as i32, 5, seed);
                let cloud = noise(place * 2.5, seed);
                (joint, 0.86 + 0.16 * tint + 0.12 * cloud)
            }
            Pattern::Windows => {
                let (along, up) = flatten(place, normal);
                let (column, floor) = (along.floor(), up.floor());
                let (x, y) = (along - column, up - floor);
                let pane = x > 0.28 && x < 0.72 && y > 0.25 && y < 0.8 && normal.y.abs() < 0.5;
                let bar = (x - 0.5).abs() < 0.02 || (y - 0.58).abs() < 0.015;
                let tint = hash_unit(column as i32, floor as i32, 6, seed);
                let plaster = 0.92 + 0.16 * noise(place * 6.0, seed);
                if pane && !bar {
                    (1.0, 0.5 + tint)
                } else {
                    (0.0, plaster)
                }
            }
        }
    }
}

/// 0 in the first half of every period, 1 in the second.
fn band(value: f32) -> f32 {
    if value - value.floor() < 0.5 {
        0.0
    } else {
        1.0
    }
}

/// A smooth wave between 0 and 1 of period 1.
fn band_wave(value: f32) -> f32 {
    let share = value - value.floor();
    let tent = 1.0 - (2.0 * share - 1.0).abs();
    tent * tent * (3.0 - 2.0 * tent)
}

/// 1 within `width` of either end of the unit interval.
fn joint(share: f32, width: f32) -> f32 {
    if share < width || share > 1.0 - width {
        1.0
    } else {
        0.0
    }
}

/// 1 inside balls of about this radius, one per unit cell, jittered within it.
fn dots(place: Vec3, radius: f32, seed: u32) -> f32 {
    let (x, y, z) = (place.x.floor(), place.y.floor(), place.z.floor());
    let random = |salt: u32| hash_unit(x as i32, y as i32, z as i32, seed ^ salt);
    let radius = radius * (0.7 + 0.3 * random(0x51));
    let center = |salt: u32| radius + (1.0 - 2.0 * radius) * random(salt);
    let offset = vec3(
        place.x - x - center(0x11),
        place.y - y - center(0x22),
        place.z - z - center(0x33),
    );
    if offset.dot(offset) < radius * radius {
        1.0
    } else {
        0.0
    }
}

/// Two coordinates in the plane that the normal faces most.
fn flatten(place: Vec3, normal: Vec3) -> (f32, f32) {
    let facing = normal.abs();
    if facing.y > facing.x && facing.y > facing.z {
        (place.x, place.z)
    } else if facing.x > facing.z {
        (place.z, place.y)
    } else {
        (place.x, place.y)
    }
}
