//! Squares and open country: the ground, and what is around.

use super::Class;
use super::atmosphere::Time;
use super::geometry::{Frame, Vec3, vec3};
use super::material::{Material, Pattern, Texture};
use super::palette::{Palette, color};
use super::random::Random;
use super::shape::Shape;
use super::stage::{Extent, Stage};
use super::surface::masonry;
use super::tree::{self, Kind};
use super::world::{Primitive, Shadow, World};

/// A paved square with facades, or open country.
pub(super) fn outdoors(
    random: &mut Random,
    palette: &Palette,
    extent: &Extent,
    paved: bool,
) -> Stage {
    let time = Time::draw(random);
    let atmosphere = time.atmosphere(random);
    let ground = if paved {
        pavement(random, palette)
    } else {
        open_ground(random)
    };
    let mut world = World {
        objects: Vec::new(),
        primitives: Vec::new(),
        ground,
        sky: atmosphere.sky,
        lights: vec![atmosphere.sun],
        halos: Vec::new(),
        ambient: atmosphere.ambient,
        haze: atmosphere.haze,
        room: None,
        key: atmosphere.key,
    };
    // Light from below has the colour of the ground.
    let tone = ground.texture.first.lerp(ground.texture.second, 0.5);
    world.ambient.down = world.ambient.down * (tone * 1.4 + Vec3::ONE * 0.35);
    if paved {
        facades(random, palette, extent, &mut world);
    } else {
        hills(random, &mut world);
        if random.chance(0.3) {
            garden_wall(random, palette, extent, &mut world);
        }
    }
    let kind = random.pick(&[
        Kind::Broadleaf,
        Kind::Broadleaf,
        Kind::Conifer,
        Kind::Column,
    ]);
    Stage {
        world,
        time,
        half_width: 60.0,
        back: if paved { extent.back - 6.0 } else { -60.0 },
        trees: (kind, tree::leaves(random)),
    }
}

fn open_ground(random: &mut Random) -> Material {
    // Grass, dry grass, sand, snow, earth, autumn leaves.
    let (first, second) = random.pick(&[
        (0x87985F, 0x56683F),
        (0x93A070, 0x66774A),
        (0xB7A768, 0x857A45),
        (0xDEC59A, 0xC2A272),
        (0xEEF1F5, 0xD3DCE8),
        (0x9C7A58, 0x6E5139),
        (0xB06A3B, 0x73552F),
    ]);
    Material::matt(Texture {
        pattern: Pattern::Mottle,
        first: color(first),
        second: color(second),
        period: random.range(0.7, 1.4),
        seed: random.bits(),
    })
    .bumpy(0.16, random.range(0.05, 0.12))
}

fn pavement(random: &mut Random, palette: &Palette) -> Material {
    let (pattern, period) = random.pick(&[
        (Pattern::Tiles, 0.6),
        (Pattern::Tiles, 0.9),
        (Pattern::Brick, 0.5),
        (Pattern::Mottle, 0.8),
        (Pattern::Checker, 1.6),
        (Pattern::Planks, 0.8),
    ]);
    let stone = random.pick(&[
        color(0xB8B0A2),
        color(0x9A958F),
        color(0xC7A88B),
        color(0x8B8F98),
        color(0xA9715B),
    ]);
    let tinted = stone.lerp(palette.color(random), 0.12);
    let second = if pattern == Pattern::Checker {
        tinted * random.range(0.5, 0.7)
    } else {
        tinted * random.range(0.42, 0.6)
    };
    let material = Material::matt(Texture {
        pattern,
        first: tinted,
        second,
        period,
        seed: random.bits(),
    });
    if random.chance(0.25) {
        // Wet stone.
        Material {
            mirror: 0.05,
            ..material.glossy(0.2, 5)
        }
    } else {
        material.bumpy(0.06, 0.05)
    }
}

fn facades(random: &mut Random, palette: &Palette, extent: &Extent, world: &mut World) {
    let back = extent.back - random.range(6.5, 14.0);
    let mut left = -22.0;
    let mut parts = Vec::new();
    while left < 22.0 {
        let width = random.range(5.0, 12.0);
        if random.chance(0.78) {
            let half = vec3(width * 0.5, random.range(1.3, 6.0), 3.0);
            let depth = back - 3.0 - random.range(0.0, 2.0);
            let at = Frame::at(vec3(left + half.x, half.y, depth));
            let surface = masonry(random, palette, true);
            parts.push(Primitive::new(Shape::Cuboid { half }, at, surface));
            // A ledge along the roof.
            let ledge = vec3(half.x + 0.1, 0.12, 3.15);
            let top = Frame::at(vec3(left + half.x, 2.0 * half.y, depth));
            let stone = Material::plain(surface.texture.first * 0.8);
            parts.push(Primitive::new(Shape::Cuboid { half: ledge }, top, stone));
        }
        left += width + random.range(0.0, 1.5);
    }
    for part in parts {
        world.add(Class::Wall, false, vec![part]);
    }
}

fn hills(random: &mut Random, world: &mut World) {
    let surface = world.ground;
    for _ in 0..random.between(3, 6) {
        let depth = random.range(45.0, 110.0);
        let width = random.range(18.0, 50.0);
        let height = depth * random.range(0.04, 0.16);
        let at = Frame::at(vec3(random.around(1.0) * depth, -0.3, -depth));
        let shape = Shape::Ellipsoid {
            radii: vec3(width, height, width * 0.5),
        };
        let mut hill = surface;
        let tint = random.range(0.75, 1.05);
        hill.texture.first = hill.texture.first * tint;
        hill.texture.second = hill.texture.second * tint;
        hill.texture.period = 9.0;
        // Far away and below every sun: their shadows never reach the scene.
        let hill = Primitive::new(shape, at, hill).casting(Shadow::None);
        world.add(Class::Ground, false, vec![hill]);
    }
}

fn garden_wall(random: &mut Random, palette: &Palette, extent: &Extent, world: &mut World) {
    let half = vec3(30.0, random.range(0.35, 0.9), 0.16);
    let turn = random.around(0.25);
    let depth = extent.back - random.range(4.0, 9.0);
    let frame = Frame::yaw(turn).moved_to(vec3(0.0, half.y, depth));
    let surface = masonry(random, palette, false);
    let cap = Frame::yaw(turn).moved_to(vec3(0.0, 2.0 * half.y, depth));
    let stone = Material::plain(surface.texture.first * 0.75);
    let ledge = vec3(half.x, 0.05, half.z + 0.06);
    world.add(
        Class::Wall,
        false,
        vec![
            Primitive::new(Shape::Cuboid { half }, frame, surface),
            Primitive::new(Shape::Cuboid { half: ledge }, cap, stone),
        ],
    );
}
