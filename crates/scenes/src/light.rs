//! Lights, the sky and the ambient light.

use std::f32::consts::FRAC_1_SQRT_2;

use super::geometry::{Frame, Vec3, smoothstep, vec3};
use super::noise::turbulence;
use super::random::hash;

/// Points on the unit disc. The first four are near its rim in four directions, so that they distinguish a
/// penumbra from full light and full shadow; all sixteen together cover the disc evenly.
const DISC: [[f32; 2]; 16] = [
    [0.87, 0.29],
    [-0.31, 0.86],
    [-0.85, -0.33],
    [0.3, -0.88],
    [0.12, 0.14],
    [-0.2, 0.11],
    [-0.09, -0.22],
    [0.24, -0.16],
    [0.5, 0.18],
    [0.62, 0.66],
    [0.1, 0.55],
    [-0.6, 0.36],
    [-0.45, -0.1],
    [-0.38, -0.62],
    [0.08, -0.55],
    [0.62, -0.45],
];

/// Cosine and sine of eight rotations, one per pixel of a small tile, so that neighbouring pixels sample
/// different points of a light.
const TURNS: [[f32; 2]; 8] = [
    [1.0, 0.0],
    [0.980_785_3, 0.195_090_3],
    [0.923_879_5, 0.382_683_4],
    [0.831_469_6, 0.555_570_2],
    [FRAC_1_SQRT_2, FRAC_1_SQRT_2],
    [0.555_570_2, 0.831_469_6],
    [0.382_683_4, 0.923_879_5],
    [0.195_090_3, 0.980_785_3],
];

/// Order of the rotations in tiles of 4 x 4 pixels.
const TURN_ORDER: [usize; 16] = [0, 4, 1, 5, 6, 2, 7, 3, 1, 5, 0, 4, 7, 3, 6, 2];

/// A source of direct light.
#[derive(Debug, Clone, Copy)]
pub(super) enum Light {
    /// The sun or the moon.
    Sun {
        /// Unit direction to it.
        direction: Vec3,
        /// Tangent of its apparent radius, which determines the softness of shadows.
        spread: f32,
        /// Light on a surface that faces it.
        color: Vec3,
    },
    /// A glowing ball.
    Lamp {
        position: Vec3,
        /// Radius in metres.
        radius: f32,
        /// Light on a surface that faces it from one metre.
        color: Vec3,
    },
}

/// Light as it arrives at a point.
pub(super) struct Arrival {
    /// Unit direction to the light.
    pub(super) direction: Vec3,
    /// Distance in metres.
    pub(super) distance: f32,
    /// Radius of its disc at one metre.
    pub(super) spread: f32,
    pub(super) color: Vec3,
    /// Whether it comes from the sun or the moon.
    pub(super) sun: bool,
}

impl Light {
    /// The light at `point`, without occlusion.
    pub(super) fn arrive(&self, point: Vec3) -> Arrival {
        match *self {
            Self::Sun {
                direction,
                spread,
                color,
            } => Arrival {
                direction,
                distance: 1e4,
                spread,
                color,
                sun: true,
            },
            Self::Lamp {
                position,
                radius,
                color,
            } => {
                let offset = position - point;
                let square = offset.dot(offset).max(1e-6);
                let distance = square.sqrt();
                Arrival {
                    direction: offset * (1.0 / distance),
                    distance: (distance - radius).max(0.0),
                    spread: radius / distance,
                    // The square of the radius keeps surfaces close to the lamp from burning out.
                    color: color * (1.0 / (square + radius * radius + 0.05)),
                    sun: false,
                }
            }
        }
    }
}

/// Directions to sixteen points of a light's disc, different for neighbouring pixels.
pub(super) struct DiscSampler {
    side: Vec3,
    up: Vec3,
    forward: Vec3,
    turn: [f32; 2],
}

impl DiscSampler {
    /// Number of points.
    pub(super) const POINTS: usize = DISC.len();

    /// Number of points at the start that lie around the rim.
    pub(super) const RIM: usize = 4;

    pub(super) fn new(arrival: &Arrival, pixel: [u32; 2]) -> Self {
        let frame = Frame::along(Vec3::ZERO, arrival.direction);
        let order = TURN_ORDER[((pixel[1] & 3) * 4 + (pixel[0] & 3)) as usize];
        Self {
            side: frame.x * arrival.spread,
            up: frame.z * arrival.spread,
            forward: frame.y,
            turn: TURNS[order],
        }
    }

    /// The unit direction to point `index`.
    pub(super) fn direction(&self, index: usize) -> Vec3 {
        let [x, y] = DISC[index];
        let [cosine, sine] = self.turn;
        let direction =
            self.forward + self.side * (x * cosine - y * sine) + self.up * (x * sine + y * cosine);
        direction.normalized()
    }
}

/// Ambient light: `up` on surfaces that face up, and `down` on surfaces that face down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ambient {
    pub(super) up: Vec3,
    pub(super) down: Vec3,
}

/// The sky.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sky {
    pub(super) zenith: Vec3,
    pub(super) horizon: Vec3,
    /// Unit direction to the sun or the moon.
    pub(super) sun: Vec3,
    /// Colour of the glow around it.
    pub(super) glow: Vec3,
    /// Whether its disc is visible, as that of the moon.
    pub(super) disc: bool,
    pub(super) clouds: Vec3,
    /// Share of the sky covered by clouds.
    pub(super) cover: f32,
    pub(super) stars: bool,
    pub(super) seed: u32,
}

impl Sky {
    /// The colour in a direction of unit length.
    pub(super) fn color(&self, direction: Vec3) -> Vec3 {
        let height = direction.y.max(0.0);
        let mut color = self.haze(direction).lerp(self.zenith, climb(height));
        if self.stars && height > 0.05 {
            color += Vec3::ONE * self.star(direction);
        }
        if self.disc {
            let toward = direction.dot(self.sun);
            color += self.glow * (6.0 * smoothstep(0.999, 0.9993, toward));
        }
        if self.cover > 0.0 && height > 0.02 {
            // Clouds lie on a plane; near the horizon it recedes and they dissolve.
            let place = vec3(direction.x, 0.0, direction.z) * (0.9 / (height + 0.12));
            let seed = self.seed;
            let density = turbulence(place * 1.4 + vec3(0.0, 0.5, 0.0), 5, seed);
            let low = 0.72 - 0.45 * self.cover;
            let amount = smoothstep(low, low + 0.22, density) * smoothstep(0.02, 0.2, height);
            let thick = smoothstep(low + 0.1, low + 0.4, density);
            let lit = self.clouds * (1.0 - 0.3 * thick) + self.glow * (0.25 * (1.0 - thick));
            color = color.lerp(lit, amount * 0.92);
        }
        color
    }

    /// The colour of the air in a direction: the horizon, warmer towards the sun.
    pub(super) fn haze(&self, direction: Vec3) -> Vec3 {
        let toward = direction.dot(self.sun).max(0.0);
        let square = toward * toward;
        let wide = square * square;
        let narrow = wide * wide * wide * wide;
        let tight = narrow * narrow * narrow;
        self.horizon + self.glow * (0.22 * wide + 0.4 * narrow + 0.7 * tight)
    }

    fn star(&self, direction: Vec3) -> f32 {
        let scaled = direction * 90.0;
        let (x, y, z) = (scaled.x.floor(), scaled.y.floor(), scaled.z.floor());
        let bits = hash(x as i32, y as i32, z as i32, self.seed);
        if !bits.is_multiple_of(97) {
            return 0.0;
        }
        let offset = scaled - vec3(x + 0.5, y + 0.5, z + 0.5);
        let brightness = ((bits >> 8) & 255) as f32 / 255.0;
        brightness * smoothstep(0.16, 0.0, offset.dot(offset)) * 0.6
    }
}

/// From 0 at the horizon to 1 at the zenith, steep at first.
fn climb(height: f32) -> f32 {
    let left = 1.0 - height.min(1.0);
    1.0 - left * left * left
}
