//! Times of day outdoors: the sky, the sun and the ambient light.

use super::geometry::{Vec3, vec3};
use super::light::{Ambient, Light, Sky};
use super::random::Random;

/// A time of day, including the weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// A high sun, some clouds.
    Day,
    /// A low, warm sun.
    Golden,
    /// A closed sky, hardly any shadows.
    Overcast,
    /// After sunset.
    Dusk,
    /// Moonlight, and the lamps are on.
    Night,
}

/// The sky and the lights of a scene at a time of day.
pub(super) struct Atmosphere {
    pub(super) sky: Sky,
    pub(super) sun: Light,
    pub(super) ambient: Ambient,
    /// Share of light lost per metre of air.
    pub(super) haze: f32,
    /// Brightness the exposure aims at, relative to a sunny day.
    pub(super) key: f32,
}

impl Time {
    /// Draws a time of day.
    pub(super) fn draw(random: &mut Random) -> Self {
        const TIMES: [(Time, f32); 5] = [
            (Time::Day, 4.0),
            (Time::Golden, 3.0),
            (Time::Overcast, 1.3),
            (Time::Dusk, 1.3),
            (Time::Night, 1.3),
        ];
        TIMES[random.weighted(&TIMES.map(|entry| entry.1))].0
    }

    /// Whether the lamps are lit.
    pub(super) fn lamps_lit(self) -> bool {
        matches!(self, Self::Dusk | Self::Night)
    }

    /// The sky and the lights at this time.
    pub(super) fn atmosphere(self, random: &mut Random) -> Atmosphere {
        let degrees = std::f32::consts::PI / 180.0;
        let height = degrees
            * match self {
                Self::Day => random.range(32.0, 62.0),
                Self::Golden => random.range(10.0, 22.0),
                Self::Overcast => random.range(50.0, 75.0),
                Self::Dusk => random.range(5.0, 9.0),
                Self::Night => random.range(25.0, 50.0),
            };
        // Mostly from the side, where light models forms best; low suns now and then from behind
        // the scene.
        let around = degrees
            * random.sign()
            * match self {
                Self::Golden | Self::Dusk if random.chance(0.4) => random.range(115.0, 160.0),
                _ => random.range(25.0, 100.0),
            };
        let (sine, cosine) = libm::sincosf(around);
        let (up, level) = libm::sincosf(height);
        let direction = vec3(sine * level, up, cosine * level);
        let seed = random.bits();
        let sky = |zenith: Vec3, horizon: Vec3, glow: Vec3, clouds: Vec3, cover: f32| Sky {
            zenith,
            horizon,
            sun: direction,
            glow,
            disc: self == Self::Night,
            clouds,
            cover,
            stars: self == Self::Night,
            seed,
        };
        let sun = |color: Vec3, spread: f32| Light::Sun {
            direction,
            spread,
            color,
        };
        let tint = vec3(
            random.around(0.03),
            random.around(0.03),
            random.around(0.04),
        );
        match self {
            Self::Day => Atmosphere {
                sky: sky(
                    vec3(0.13, 0.33, 0.74) + tint,
                    vec3(0.6, 0.76, 0.93),
                    vec3(0.5, 0.42, 0.3),
                    vec3(1.05, 1.05, 1.08),
                    random.range(0.0, 0.75),
                ),
                sun: sun(vec3(3.1, 2.85, 2.45), random.range(0.012, 0.05)),
                ambient: Ambient {
                    up: vec3(0.62, 0.76, 1.0),
                    down: vec3(0.34, 0.32, 0.28),
                },
                haze: random.range(0.002, 0.008),
                key: 1.0,
            },
            Self::Golden => Atmosphere {
                sky: sky(
                    vec3(0.2, 0.33, 0.6) + tint,
                    vec3(0.98, 0.68, 0.44),
                    vec3(1.25, 0.6, 0.22),
                    vec3(1.15, 0.78, 0.62),
                    random.range(0.1, 0.7),
                ),
                sun: sun(vec3(3.5, 2.05, 0.95), random.range(0.02, 0.05)),
                ambient: Ambient {
                    up: vec3(0.55, 0.56, 0.72),
                    down: vec3(0.36, 0.26, 0.2),
                },
                haze: random.range(0.003, 0.01),
                key: 0.95,
            },
            Self::Overcast => Atmosphere {
                sky: sky(
                    vec3(0.55, 0.6, 0.67) + tint,
                    vec3(0.8, 0.83, 0.86),
                    vec3(0.1, 0.1, 0.1),
                    vec3(0.85, 0.87, 0.9),
                    1.0,
                ),
                sun: sun(vec3(0.95, 0.95, 0.95), random.range(0.3, 0.5)),
                ambient: Ambient {
                    up: vec3(1.0, 1.04, 1.1),
                    down: vec3(0.38, 0.37, 0.35),
                },
                haze: random.range(0.006, 0.014),
                key: 0.9,
            },
            Self::Dusk => Atmosphere {
                sky: sky(
                    vec3(0.06, 0.08, 0.24) + tint * 0.5,
                    vec3(0.72, 0.36, 0.34),
                    vec3(0.9, 0.38, 0.2),
                    vec3(0.5, 0.27, 0.34),
                    random.range(0.2, 0.7),
                ),
                sun: sun(vec3(1.0, 0.45, 0.26), 0.08),
                ambient: Ambient {
                    up: vec3(0.3, 0.28, 0.48),
                    down: vec3(0.14, 0.1, 0.11),
                },
                haze: random.range(0.003, 0.007),
                key: 0.72,
            },
            Self::Night => Atmosphere {
                sky: sky(
                    vec3(0.008, 0.014, 0.04),
                    vec3(0.035, 0.05, 0.1),
                    vec3(0.09, 0.11, 0.15),
                    vec3(0.06, 0.07, 0.1),
                    random.range(0.0, 0.4),
                ),
                sun: sun(vec3(0.16, 0.2, 0.32), 0.03),
                ambient: Ambient {
                    up: vec3(0.07, 0.085, 0.15),
                    down: vec3(0.035, 0.035, 0.05),
                },
                haze: random.range(0.002, 0.006),
                key: 0.55,
            },
        }
    }
}
