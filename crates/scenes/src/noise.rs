//! Smooth random functions of space.

use super::geometry::{Vec3, vec3};
use super::random::hash_unit;

/// Value noise in `[0, 1)`: random at integer points, smooth between them.
pub(super) fn noise(point: Vec3, seed: u32) -> f32 {
    let (x, across) = split(point.x);
    let (y, up) = split(point.y);
    let (z, deep) = split(point.z);
    let corner = |right: i32, above: i32, behind: i32| {
        hash_unit(
            x.wrapping_add(right),
            y.wrapping_add(above),
            z.wrapping_add(behind),
            seed,
        )
    };
    let mix = |one: f32, two: f32, share: f32| one + (two - one) * share;
    let edge =
        |above: i32, behind: i32| mix(corner(0, above, behind), corner(1, above, behind), across);
    let face = |behind: i32| mix(edge(0, behind), edge(1, behind), up);
    mix(face(0), face(1), deep)
}

/// Octaves of [`noise`], each twice as fine and half as strong as the one before; in `[0, 1)`.
pub(super) fn turbulence(point: Vec3, octaves: u32, seed: u32) -> f32 {
    let (mut sum, mut total, mut strength, mut position) = (0.0, 0.0, 1.0, point);
    for octave in 0..octaves {
        sum += strength * noise(position, seed.wrapping_add(octave));
        total += strength;
        strength *= 0.5;
        position = position * 2.03;
    }
    sum / total
}

/// A smooth random direction field, components in `[-1, 1)`.
pub(super) fn noise_vector(point: Vec3, seed: u32) -> Vec3 {
    vec3(
        noise(point, seed) * 2.0 - 1.0,
        noise(point + vec3(17.3, 5.1, 9.7), seed) * 2.0 - 1.0,
        noise(point + vec3(3.9, 31.7, 21.1), seed) * 2.0 - 1.0,
    )
}

/// The integer below a coordinate, and a smooth share of the way to the next.
fn split(value: f32) -> (i32, f32) {
    let below = value.floor();
    let share = value - below;
    (
        below as i32,
        share * share * share * (share * (share * 6.0 - 15.0) + 10.0),
    )
}
