//! What makes a room look lived in: windows, skirting boards, pictures and rugs.

use super::Class;
use super::geometry::{Frame, Vec3, vec3};
use super::material::Material;
use super::palette::{Palette, color};
use super::random::Random;
use super::shape::Shape;
use super::walls::{Walls, Window, sides};
use super::world::{Primitive, Shadow, World};

/// Frame, bars and sill of a window.
pub(super) fn dress_window(window: &Window, world: &mut World) {
    let [left, bottom, right, top] = window.hole;
    let (x, y) = ((left + right) * 0.5, (bottom + top) * 0.5);
    let (wide, tall) = ((right - left) * 0.5, (top - bottom) * 0.5);
    let white = Material::plain(color(0xF2EFE9)).glossy(0.1, 5);
    let bar = |center: Vec3, half: Vec3| {
        let frame = window.wall.then(&Frame::at(center));
        Primitive::new(Shape::Cuboid { half }, frame, white).casting(Shadow::FromSun)
    };
    let (thick, deep) = (0.035, 0.045);
    world.add(
        Class::Wall,
        false,
        vec![
            bar(vec3(left, y, 0.0), vec3(thick, tall + thick, deep)),
            bar(vec3(right, y, 0.0), vec3(thick, tall + thick, deep)),
            bar(vec3(x, top, 0.0), vec3(wide, thick, deep)),
            bar(
                vec3(x, bottom, 0.03),
                vec3(wide + 0.1, thick * 0.8, deep + 0.06),
            ),
            bar(vec3(x, y, 0.0), vec3(0.018, tall, 0.02)),
            bar(vec3(x, y, 0.0), vec3(wide, 0.018, 0.02)),
        ],
    );
}

/// Skirting boards, pictures and a rug.
pub(super) fn decorate(
    random: &mut Random,
    palette: &Palette,
    walls: &Walls,
    window: Option<&Window>,
    world: &mut World,
) {
    let board = Material::plain(color(0xEFEAE2) * random.range(0.5, 1.0));
    for (half, frame) in sides(walls).into_iter().take(3) {
        let shape = Shape::Cuboid {
            half: vec3(half[0], 0.05, 0.012),
        };
        let low = frame.then(&Frame::at(vec3(0.0, 0.05 - half[1], 0.012)));
        let skirting = Primitive::new(shape, low, board).casting(Shadow::None);
        world.add(Class::Wall, false, vec![skirting]);
    }
    let back_window = window.is_some_and(|window| window.wall.z.z > 0.5);
    if !back_window {
        let mut left = -walls.half_width + random.range(0.4, 1.2);
        for _ in 0..random.below(4) {
            let half = vec3(random.range(0.2, 0.5), random.range(0.22, 0.42), 0.015);
            if left + 2.0 * half.x > walls.half_width - 0.3 {
                break;
            }
            let center = vec3(left + half.x, random.range(1.5, 1.75), walls.back + 0.02);
            let rim = Material::plain(color(random.pick(&[0x2A2420, 0xB08D57, 0xF0ECE4])));
            let art = palette.surface(random, 0.7);
            let canvas = vec3(half.x - 0.04, half.y - 0.04, 0.006);
            let ahead = center + vec3(0.0, 0.0, 0.012);
            world.add(
                Class::Wall,
                false,
                vec![
                    Primitive::new(Shape::Cuboid { half }, Frame::at(center), rim),
                    Primitive::new(Shape::Cuboid { half: canvas }, Frame::at(ahead), art),
                ],
            );
            left += 2.0 * half.x + random.range(0.3, 1.0);
        }
    }
    if random.chance(0.45) {
        let mut weave = palette.surface(random, 0.9);
        weave.gloss = 0.0;
        weave.mirror = 0.0;
        let size = random.range(1.0, 1.6);
        let shape = if random.chance(0.5) {
            Shape::Frustum {
                bottom: size,
                top: size,
                half: 0.006,
            }
        } else {
            Shape::Cuboid {
                half: vec3(size * 1.2, 0.006, size * 0.8),
            }
        };
        let frame = Frame::yaw(random.around(0.4)).moved_to(vec3(random.around(0.4), 0.006, 0.0));
        world.add(
            Class::Ground,
            false,
            vec![Primitive::new(shape, frame, weave)],
        );
    }
}
