//! Trees, from conifers to potted plants.

use super::Class;
use super::geometry::{Frame, Vec3, vec3};
use super::material::{Material, Pattern, Texture};
use super::palette::{Palette, color};
use super::prop::Prop;
use super::random::Random;
use super::shape::Shape;
use super::world::Primitive;

/// Colours of leaves: summer, autumn, blossom and the blue of some conifers.
const LEAVES: [u32; 9] = [
    0x6A994E, 0x4F772D, 0x90A955, 0x386641, 0xBC6C25, 0xD9A02E, 0xC8553D, 0xE5989B, 0x5B8A8A,
];

/// Kinds of trees; a scene uses one or two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A trunk under a cloud of leaves.
    Broadleaf,
    /// Stacked cones.
    Conifer,
    /// Slender, like a cypress.
    Column,
}

/// The leaves of one scene's trees.
pub(super) fn leaves(random: &mut Random) -> Vec3 {
    color(random.pick(&LEAVES))
}

/// A tree about `height` metres tall.
pub(super) fn tree(random: &mut Random, kind: Kind, tone: Vec3, height: f32) -> Prop {
    let bark = Material::matt(Texture {
        pattern: Pattern::Mottle,
        first: color(0x7A5C45),
        second: color(0x3B2A20),
        period: 0.25,
        seed: random.bits(),
    })
    .bumpy(0.3, 0.06);
    let leaf = foliage(random, tone, height);
    let mut primitives = Vec::new();
    let trunk = |top: f32, thick: f32| {
        let half = top * 0.5;
        let shape = Shape::Frustum {
            bottom: thick * 1.25,
            top: thick * 0.7,
            half,
        };
        Primitive::new(shape, Frame::at(vec3(0.0, half, 0.0)), bark)
    };
    match kind {
        Kind::Broadleaf => {
            primitives.push(trunk(height * 0.55, height * 0.035));
            let middle = height * 0.68;
            let radius = height * 0.2;
            let core = Shape::Ellipsoid {
                radii: vec3(radius * 1.15, radius * 1.1, radius * 1.15),
            };
            primitives.push(Primitive::new(
                core,
                Frame::at(vec3(0.0, middle, 0.0)),
                leaf,
            ));
            let count = random.between(8, 12);
            for number in 0..count {
                // A spiral of equal areas around the crown, each tuft a little off.
                let up = 0.85 - 1.45 * (number as f32 + 0.5) / count as f32;
                let across = (1.0 - up * up).max(0.0).sqrt();
                let (sine, cosine) = libm::sincosf(2.4 * number as f32 + random.around(0.5));
                let out = radius * random.range(0.95, 1.2);
                let center = vec3(
                    across * cosine * out,
                    middle + up * radius * 1.1,
                    across * sine * out,
                );
                let size = radius * random.range(0.5, 0.75);
                let radii = vec3(size, size * random.range(0.8, 1.0), size);
                let mut tuft = leaf;
                let tint = random.range(0.85, 1.15);
                tuft.texture.first = tuft.texture.first * tint;
                tuft.texture.second = tuft.texture.second * tint;
                let frame = Frame::yaw(random.range(0.0, 3.0)).moved_to(center);
                primitives.push(Primitive::new(Shape::Ellipsoid { radii }, frame, tuft));
            }
        }
        Kind::Conifer => {
            primitives.push(trunk(height * 0.3, height * 0.03));
            let tiers = random.between(3, 5);
            for tier in 0..tiers {
                let share = tier as f32 / tiers as f32;
                let low = height * (0.14 + 0.68 * share);
                let high = (low + height * (0.46 - 0.16 * share)).min(height);
                let half = (high - low) * 0.5;
                let shape = Shape::Frustum {
                    bottom: height * (0.25 - 0.17 * share) * random.range(0.92, 1.08),
                    top: 0.0,
                    half,
                };
                let frame = Frame::at(vec3(0.0, low + half, 0.0));
                primitives.push(Primitive::new(shape, frame, leaf));
            }
        }
        Kind::Column => {
            primitives.push(trunk(height * 0.2, height * 0.025));
            let wide = height * random.range(0.1, 0.14);
            let radii = vec3(wide, height * 0.45, wide);
            let frame = Frame::at(vec3(0.0, height * 0.55, 0.0));
            primitives.push(Primitive::new(Shape::Ellipsoid { radii }, frame, leaf));
        }
    }
    let mut prop = Prop::new(Class::Tree, primitives);
    // Other things may stand below the crown.
    prop.radius *= 0.7;
    prop
}

/// A plant in a pot, about `height` metres tall.
pub(super) fn potted(random: &mut Random, palette: &Palette, tone: Vec3, height: f32) -> Prop {
    let pot = palette.surface(random, 0.4);
    let leaf = foliage(random, tone, height * 2.0);
    let half = height * 0.14;
    let shape = Shape::Frustum {
        bottom: height * 0.13,
        top: height * 0.19,
        half,
    };
    let mut primitives = vec![Primitive::new(shape, Frame::at(vec3(0.0, half, 0.0)), pot)];
    let count = random.between(9, 13);
    for number in 0..count {
        let (sine, cosine) = libm::sincosf(2.4 * number as f32 + random.around(0.3));
        let share = (number as f32 + 0.5) / count as f32;
        let slope = 0.25 + 0.75 * share;
        let direction = vec3(cosine * slope, 1.25 - 0.7 * share, sine * slope).normalized();
        let length = height * random.range(0.3, 0.42);
        let root = vec3(0.0, 2.0 * half, 0.0);
        // Each leaf is a flat ellipsoid along its stem.
        let radii = vec3(height * 0.075, length, height * 0.03);
        let frame = Frame::along(root + direction * (length * 0.95), direction);
        let mut blade = leaf;
        let tint = random.range(0.75, 1.2);
        blade.texture.first = blade.texture.first * tint;
        blade.texture.second = blade.texture.second * tint;
        primitives.push(Primitive::new(Shape::Ellipsoid { radii }, frame, blade));
    }
    let mut prop = Prop::new(Class::Tree, primitives);
    prop.radius = height * 0.35;
    prop.height = height;
    prop
}

fn foliage(random: &mut Random, tone: Vec3, height: f32) -> Material {
    let first = tone * random.range(0.85, 1.15);
    Material::matt(Texture {
        pattern: Pattern::Mottle,
        first,
        second: first * 0.45,
        period: height * 0.05,
        seed: random.bits(),
    })
    .bumpy(0.75, height * 0.022)
}
