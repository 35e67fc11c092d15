//! What floors and walls are made of.

use super::geometry::Vec3;
use super::material::{Material, Pattern, Texture};
use super::palette::{Palette, color};
use super::random::Random;

/// A wall's surface: brick, plaster, wood or, on facades, windows.
pub(super) fn masonry(random: &mut Random, palette: &Palette, windows: bool) -> Material {
    let plaster = random
        .pick(&[
            color(0xE8DCC8),
            color(0xD9C2A3),
            color(0xCFD3CF),
            color(0xC98D6B),
            color(0xA7B5BD),
            color(0xE3B7A0),
        ])
        .lerp(palette.color(random), random.range(0.0, 0.35));
    let seed = random.bits();
    let (pattern, first, second, period) = if windows && random.chance(0.6) {
        (Pattern::Windows, plaster, color(0x39444F), 2.4)
    } else {
        match random.below(3) {
            0 => (
                Pattern::Brick,
                random.pick(&[
                    color(0xA85B43),
                    color(0xB98068),
                    color(0x8C6A5A),
                    color(0xC9B8A4),
                ]),
                color(0xC9C2B6),
                0.5,
            ),
            1 => (Pattern::Plain, plaster, plaster, 1.0),
            _ => (Pattern::Mottle, plaster, plaster * 0.72, 2.2),
        }
    };
    Material::matt(Texture {
        pattern,
        first,
        second,
        period,
        seed,
    })
}

/// A floor of wood, tiles or stone.
pub(super) fn floor(random: &mut Random, palette: &Palette) -> Material {
    let wood = random.pick(&[
        (0xC9A174, 0x9C7248),
        (0xA87B54, 0x6F4B31),
        (0xD9BE96, 0xB5946A),
        (0x7B5A44, 0x4C3528),
    ]);
    let (first, second) = palette.pair(random);
    let texture = |pattern: Pattern, first: Vec3, second: Vec3, period: f32, seed: u32| Texture {
        pattern,
        first,
        second,
        period,
        seed,
    };
    let seed = random.bits();
    let planks = texture(Pattern::Planks, color(wood.0), color(wood.1), 0.55, seed);
    let pale = first.lerp(color(0xE8E2D8), 0.5);
    let texture = match random.below(6) {
        0..=2 => planks,
        3 => texture(
            Pattern::Checker,
            pale,
            second.lerp(color(0x5A5650), 0.5),
            0.8,
            seed,
        ),
        4 => texture(Pattern::Tiles, pale, pale * 0.5, 0.4, seed),
        _ => texture(Pattern::Mottle, pale, pale * 0.7, 0.7, seed),
    };
    let mut material = Material::matt(texture).glossy(0.12, 5);
    if random.chance(0.5) {
        material.mirror = random.range(0.02, 0.06);
    }
    material
}

/// Painted or patterned walls.
pub(super) fn wallpaper(random: &mut Random, palette: &Palette) -> Material {
    let paint = palette
        .color(random)
        .lerp(color(0xEEE8DC), random.range(0.25, 0.75));
    let pattern = random.pick(&[
        Pattern::Plain,
        Pattern::Plain,
        Pattern::Plain,
        Pattern::Dots,
        Pattern::Checker,
        Pattern::Diagonal,
        Pattern::Planks,
    ]);
    Material::matt(Texture {
        pattern,
        first: paint,
        second: paint * random.range(0.78, 0.9),
        period: random.range(0.25, 0.5),
        seed: random.bits(),
    })
}
