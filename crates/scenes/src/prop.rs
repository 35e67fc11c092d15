//! Props that can be placed in a scene: solids, trees, lamps and clutter.
//!
//! Every prop stands on y = 0 around the origin.

use super::Class;
use super::geometry::{Bound, Frame, Vec3, vec3};
use super::material::{Material, Pattern, Texture};
use super::palette::{Palette, color};
use super::random::Random;
use super::shape::Shape;
use super::world::{Primitive, Shadow};

/// The glowing part of a lamp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bulb {
    pub(super) center: Vec3,
    pub(super) radius: f32,
}

/// A prop, in its own coordinates.
#[derive(Debug, Clone)]
pub(super) struct Prop {
    pub(super) class: Class,
    pub(super) primitives: Vec<Primitive>,
    /// Radius of the disc it occupies on the ground.
    pub(super) radius: f32,
    pub(super) height: f32,
    /// Radius of a level top that something can stand on; 0 for none.
    pub(super) table: f32,
    /// The light of a lamp.
    pub(super) bulb: Option<Bulb>,
}

impl Prop {
    /// Creates a prop from primitives; its size follows from their bounds.
    pub(super) fn new(class: Class, primitives: Vec<Primitive>) -> Self {
        let (mut radius, mut height) = (0.0_f32, 0.0_f32);
        for primitive in &primitives {
            let Bound {
                center,
                radius: reach,
            } = primitive.bound();
            let across = (center.x * center.x + center.z * center.z).sqrt();
            radius = radius.max(across + reach);
            height = height.max(center.y + reach);
        }
        Self {
            class,
            primitives,
            radius,
            height,
            table: 0.0,
            bulb: None,
        }
    }

    fn sized(self, radius: f32, height: f32, table: f32) -> Self {
        Self {
            radius,
            height,
            table,
            ..self
        }
    }

    /// Returns the primitives of the prop placed at `place` and rotated by `yaw`.
    pub(super) fn placed(&self, place: Vec3, yaw: f32) -> Vec<Primitive> {
        let frame = Frame::yaw(yaw).moved_to(place);
        self.primitives
            .iter()
            .map(|primitive| primitive.inside(&frame))
            .collect()
    }
}

/// A solid of class `class`, about `size` metres tall; a box for classes that are not solids.
pub(super) fn solid(random: &mut Random, palette: &Palette, class: Class, size: f32) -> Prop {
    let surface = palette.surface(random, size);
    let one = |class: Class, shape: Shape, frame: Frame| {
        Prop::new(class, vec![Primitive::new(shape, frame, surface)])
    };
    match class {
        Class::Ball => {
            let radius = size * random.range(0.36, 0.5);
            // Turned, so that stripes and sectors do not all stand upright.
            let frame = Frame::yaw(random.range(0.0, 6.0))
                .then(&Frame::pitch(random.around(1.2)))
                .then(&Frame::roll(random.around(1.2)))
                .moved_to(vec3(0.0, radius, 0.0));
            one(class, Shape::Sphere { radius }, frame).sized(radius, 2.0 * radius, 0.0)
        }
        Class::Cylinder => cylinder(random, size, surface),
        Class::Cone => {
            let half = size * random.range(0.45, 0.6);
            let bottom = size * random.range(0.28, 0.45);
            let top = if random.chance(0.25) {
                bottom * random.range(0.3, 0.5)
            } else {
                0.0
            };
            let shape = Shape::Frustum { bottom, top, half };
            one(class, shape, Frame::at(vec3(0.0, half, 0.0))).sized(bottom, 2.0 * half, top)
        }
        Class::Ring => {
            let minor = size * random.range(0.09, 0.16);
            let major = size * 0.5 - minor;
            let shape = Shape::Torus { major, minor };
            match random.below(3) {
                0 => {
                    let at = Frame::at(vec3(0.0, minor, 0.0));
                    one(class, shape, at).sized(major + minor, 2.0 * minor, 0.0)
                }
                // Upright on its rim, or leaning back a little.
                kind => {
                    let lean = if kind == 1 {
                        0.0
                    } else {
                        random.range(0.15, 0.4)
                    };
                    let (_, cosine) = libm::sincosf(lean);
                    let at = Frame::pitch(std::f32::consts::FRAC_PI_2 - lean).moved_to(vec3(
                        0.0,
                        major * cosine + minor,
                        0.0,
                    ));
                    let tall = 2.0 * (major * cosine + minor);
                    one(class, shape, at).sized(major + minor, tall, 0.0)
                }
            }
        }
        _ => {
            let half = vec3(
                size * random.range(0.28, 0.55),
                size * random.range(0.3, 0.55),
                size * random.range(0.28, 0.55),
            );
            let at = Frame::at(vec3(0.0, half.y, 0.0));
            let radius = (half.x * half.x + half.z * half.z).sqrt();
            one(Class::Box, Shape::Cuboid { half }, at).sized(
                radius,
                2.0 * half.y,
                half.x.min(half.z),
            )
        }
    }
}

fn cylinder(random: &mut Random, size: f32, surface: Material) -> Prop {
    let radius = size * random.range(0.22, 0.42);
    let half = size * random.range(0.3, 0.55);
    let shape = Shape::Frustum {
        bottom: radius,
        top: radius,
        half,
    };
    if random.chance(0.25) {
        let lying = Frame::roll(std::f32::consts::FRAC_PI_2).moved_to(vec3(0.0, radius, 0.0));
        Prop::new(Class::Cylinder, vec![Primitive::new(shape, lying, surface)]).sized(
            (half * half + radius * radius).sqrt(),
            2.0 * radius,
            0.0,
        )
    } else {
        let upright = Frame::at(vec3(0.0, half, 0.0));
        Prop::new(
            Class::Cylinder,
            vec![Primitive::new(shape, upright, surface)],
        )
        .sized(radius, 2.0 * half, radius)
    }
}

/// A box of `height` metres, as a seat or a pedestal.
pub(super) fn pedestal(random: &mut Random, palette: &Palette, half: f32, height: f32) -> Prop {
    let surface = palette.surface(random, height.max(half));
    if random.chance(0.5) {
        let half = vec3(half, height * 0.5, half * random.range(0.9, 1.15));
        let at = Frame::at(vec3(0.0, half.y, 0.0));
        let shape = Shape::Cuboid { half };
        Prop::new(Class::Box, vec![Primitive::new(shape, at, surface)]).sized(
            (half.x * half.x + half.z * half.z).sqrt(),
            height,
            half.x.min(half.z),
        )
    } else {
        let radius = half * 1.1;
        let shape = Shape::Frustum {
            bottom: radius,
            top: radius,
            half: height * 0.5,
        };
        let at = Frame::at(vec3(0.0, height * 0.5, 0.0));
        Prop::new(Class::Cylinder, vec![Primitive::new(shape, at, surface)])
            .sized(radius, height, radius)
    }
}

/// A lamp on a pole: a street lamp outdoors, a floor lamp indoors; `lit` or not.
pub(super) fn lamp(random: &mut Random, palette: &Palette, outdoors: bool, lit: bool) -> Prop {
    let metal = Material::plain(
        random.pick(&[color(0x2B2D31), color(0x6F6A60), color(0x1F4037)]) * random.range(0.8, 1.2),
    )
    .glossy(0.3, 5);
    let warm = vec3(1.0, 0.72, 0.42);
    let height = if outdoors {
        random.range(2.3, 3.3)
    } else {
        random.range(1.3, 1.8)
    };
    let thick = if outdoors { 0.045 } else { 0.018 };
    let pole = |low: f32, high: f32, bottom: f32, top: f32| {
        let half = (high - low) * 0.5;
        Primitive::new(
            Shape::Frustum { bottom, top, half },
            Frame::at(vec3(0.0, low + half, 0.0)),
            metal,
        )
    };
    let foot = thick * if outdoors { 2.6 } else { 8.0 };
    let mut primitives = vec![
        pole(0.0, if outdoors { 0.25 } else { 0.03 }, foot, foot * 0.8),
        pole(0.02, height, thick, thick * 0.75),
    ];
    let glass = |strength: f32| {
        let mut material = Material::plain(vec3(0.85, 0.82, 0.76)).glossy(0.3, 5);
        if lit {
            material.glow = warm * strength;
        }
        material
    };
    let bulb = if outdoors || random.chance(0.3) {
        let radius = height * random.range(0.055, 0.075);
        let center = vec3(0.0, height + radius * 0.8, 0.0);
        let globe = Primitive::new(Shape::Sphere { radius }, Frame::at(center), glass(5.0));
        primitives.push(globe.casting(Shadow::None));
        if outdoors {
            primitives.push(pole(
                center.y + radius * 0.75,
                center.y + radius * 1.15,
                radius * 0.75,
                radius * 0.1,
            ));
        }
        Bulb { center, radius }
    } else {
        let half = random.range(0.13, 0.19);
        let bottom = random.range(0.19, 0.28);
        let shape = Shape::Frustum {
            bottom,
            top: bottom * random.range(0.5, 0.85),
            half,
        };
        let center = vec3(0.0, height, 0.0);
        let mut fabric = glass(1.6);
        fabric.texture.first = palette.color(random).lerp(Vec3::ONE, 0.4);
        fabric.gloss = 0.0;
        primitives.push(Primitive::new(shape, Frame::at(center), fabric).casting(Shadow::None));
        Bulb {
            center,
            radius: bottom * 0.7,
        }
    };
    let mut prop = Prop::new(Class::Lamp, primitives).sized(foot + 0.1, height + 0.3, 0.0);
    prop.bulb = lit.then_some(bulb);
    prop
}

/// Small objects: stones, books, a bottle, cups.
pub(super) fn clutter(random: &mut Random, palette: &Palette) -> Prop {
    let mut primitives = Vec::new();
    let mut add = |shape: Shape, frame: Frame, material: Material| {
        primitives.push(Primitive::new(shape, frame, material));
    };
    match random.below(4) {
        0 => {
            let tone = random.pick(&[color(0x8D8A84), color(0x6E6259), color(0xB4A89A)]);
            for number in 0..random.between(2, 4) {
                let size = random.range(0.05, 0.12);
                let radii = vec3(
                    size * random.range(0.9, 1.4),
                    size * random.range(0.5, 0.8),
                    size * random.range(0.8, 1.2),
                );
                let spot = vec3(random.around(0.16), radii.y * 0.8, random.around(0.16));
                let stone = Material::matt(Texture {
                    pattern: Pattern::Mottle,
                    first: tone * 1.1,
                    second: tone * 0.6,
                    period: 0.15,
                    seed: random.bits().wrapping_add(number as u32),
                })
                .bumpy(0.35, 0.05);
                let frame = Frame::yaw(random.range(0.0, 3.0)).moved_to(spot);
                add(Shape::Ellipsoid { radii }, frame, stone);
            }
        }
        1 => {
            let mut top = 0.0;
            for _ in 0..random.between(2, 4) {
                let half = vec3(random.range(0.1, 0.15), random.range(0.014, 0.028), 0.085);
                let frame = Frame::yaw(random.around(0.5)).moved_to(vec3(
                    random.around(0.015),
                    top + half.y,
                    random.around(0.015),
                ));
                add(
                    Shape::Cuboid { half },
                    frame,
                    Material::plain(palette.color(random)),
                );
                top += 2.0 * half.y;
            }
        }
        2 => {
            let glass = Material::plain(palette.color(random)).glossy(0.5, 7);
            let mut piece = |low: f32, high: f32, bottom: f32, top: f32| {
                let half = (high - low) * 0.5;
                let at = Frame::at(vec3(0.0, low + half, 0.0));
                add(Shape::Frustum { bottom, top, half }, at, glass);
            };
            piece(0.0, 0.19, 0.045, 0.045);
            piece(0.19, 0.24, 0.045, 0.018);
            piece(0.24, 0.31, 0.018, 0.018);
        }
        _ => {
            for number in 0..random.between(2, 3) {
                let glaze = Material::plain(palette.color(random)).glossy(0.4, 6);
                let top = random.range(0.045, 0.065);
                let half = random.range(0.045, 0.07);
                let at = vec3(0.14 * number as f32 - 0.14, half, random.around(0.08));
                let bottom = top * 0.75;
                add(Shape::Frustum { bottom, top, half }, Frame::at(at), glaze);
            }
        }
    }
    Prop::new(Class::Clutter, primitives)
}
