//! Palettes of matching colours, and surfaces in these colours.

use super::geometry::{Vec3, vec3};
use super::material::{Material, Pattern, Texture};
use super::random::Random;

/// Colours of the objects and the clothes of one scene; never chosen by class.
const PALETTES: [[u32; 6]; 12] = [
    [0x264653, 0x2A9D8F, 0xE9C46A, 0xF4A261, 0xE76F51, 0xF1EDE0],
    [0x355070, 0x6D597A, 0xB56576, 0xE56B6F, 0xEAAC8B, 0xF3E9DC],
    [0x003049, 0xD62828, 0xF77F00, 0xFCBF49, 0xEAE2B7, 0x3F7CAC],
    [0x606C38, 0x283618, 0xFEFAE0, 0xDDA15E, 0xBC6C25, 0x8FB8A8],
    [0x8ECAE6, 0x219EBC, 0x023047, 0xFFB703, 0xFB8500, 0xF7F3E8],
    [0x5F0F40, 0x9A031E, 0xFB8B24, 0xE36414, 0x0F4C5C, 0xEFD9C0],
    [0xCDB4DB, 0xFFC8DD, 0xFFAFCC, 0xBDE0FE, 0xA2D2FF, 0x6B5B95],
    [0x2F3E46, 0x52796F, 0x84A98C, 0xCAD2C5, 0xD9A441, 0xB5473C],
    [0x22577A, 0x38A3A5, 0x57CC99, 0x80ED99, 0xF6F7EB, 0xE94F37],
    [0x3D405B, 0x81B29A, 0xF2CC8F, 0xE07A5F, 0xF4F1DE, 0x7D84B2],
    [0x1D3557, 0x457B9D, 0xA8DADC, 0xF1FAEE, 0xE63946, 0xF2B880],
    [0x4A4E69, 0x9A8C98, 0xC9ADA7, 0xF2E9E4, 0x22223B, 0xB08968],
];

/// Skin from light to dark.
const SKINS: [u32; 8] = [
    0xEBC8B0, 0xE2B592, 0xDDA985, 0xC68863, 0xA86E4B, 0x8A5638, 0x6B402A, 0x4B2C20,
];

/// Hair.
const HAIRS: [u32; 7] = [
    0x1B1512, 0x33231B, 0x55372A, 0x7A4B2E, 0xB98A52, 0xD9C08A, 0x8F8F93,
];

/// The linear colour of an sRGB code such as `0xE9C46A`.
pub(super) fn color(code: u32) -> Vec3 {
    let channel = |shift: u32| {
        let value = ((code >> shift) & 255) as f32 / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            libm::powf((value + 0.055) / 1.055, 2.4)
        }
    };
    vec3(channel(16), channel(8), channel(0))
}

/// The colours of one scene.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette([Vec3; 6]);

impl Palette {
    /// Draws one of the palettes.
    pub(super) fn draw(random: &mut Random) -> Self {
        Self(random.pick(&PALETTES).map(color))
    }

    /// One of the colours, a little darker or lighter.
    pub(super) fn color(&self, random: &mut Random) -> Vec3 {
        random.pick(&self.0) * random.range(0.85, 1.08)
    }

    /// Two colours of clearly different lightness.
    pub(super) fn pair(&self, random: &mut Random) -> (Vec3, Vec3) {
        let first = self.color(random);
        let mut second = self.color(random);
        for _ in 0..6 {
            if (lightness(first) - lightness(second)).abs() > 0.18 {
                break;
            }
            second = self.color(random);
        }
        (first, second)
    }

    /// A surface for an object of about `size` metres, of any pattern.
    pub(super) fn surface(&self, random: &mut Random, size: f32) -> Material {
        const PATTERNS: [(Pattern, f32, f32); 12] = [
            (Pattern::Plain, 5.0, 0.5),
            (Pattern::Checker, 1.2, 0.5),
            (Pattern::Stripes, 1.3, 0.4),
            (Pattern::Diagonal, 0.8, 0.45),
            (Pattern::Sectors, 1.0, 1.0),
            (Pattern::Dots, 1.2, 0.5),
            (Pattern::Marble, 1.6, 0.8),
            (Pattern::Wood, 1.6, 0.6),
            (Pattern::Speckle, 1.2, 0.35),
            (Pattern::Mottle, 1.0, 0.7),
            (Pattern::Brick, 0.7, 0.45),
            (Pattern::Tiles, 0.8, 0.35),
        ];
        let (pattern, _, share) = PATTERNS[random.weighted(&PATTERNS.map(|entry| entry.1))];
        let (mut first, mut second) = self.pair(random);
        match pattern {
            // Veins and mottles want relatives rather than opposites.
            Pattern::Mottle => second = first * random.range(0.45, 0.75),
            Pattern::Wood => {
                first = color(random.pick(&[0xC69C6D, 0xA9744F, 0xE0BE8E, 0x8B5A3C]));
                second = first * random.range(0.35, 0.6);
            }
            Pattern::Brick => second = vec3(0.62, 0.6, 0.56),
            _ => {}
        }
        let texture = Texture {
            pattern,
            first,
            second,
            period: size * share * random.range(0.8, 1.25),
            seed: random.bits(),
        };
        let mut material = Material::matt(texture);
        if random.chance(0.6) {
            material = material.glossy(random.range(0.08, 0.5), random.between(4, 7) as u32);
            if random.chance(0.55) {
                material.mirror = random.range(0.03, 0.09);
            }
        }
        material
    }
}

/// The colours of one figure's skin and hair.
pub(super) fn complexion(random: &mut Random) -> (Vec3, Vec3) {
    (color(random.pick(&SKINS)), color(random.pick(&HAIRS)))
}

/// Perceived brightness of a linear colour, from 0 to 1.
pub(super) fn lightness(color: Vec3) -> f32 {
    color
        .dot(vec3(0.2126, 0.7152, 0.0722))
        .clamp(0.0, 1.0)
        .sqrt()
}

/// Whether two linear colours are hard to tell apart.
pub(super) fn alike(one: Vec3, two: Vec3) -> bool {
    // The square root comes close to how the eye spaces brightness.
    let gap = |one: f32, two: f32| (one.sqrt() - two.sqrt()).abs();
    gap(one.x, two.x)
        .max(gap(one.y, two.y))
        .max(gap(one.z, two.z))
        < 0.2
}
