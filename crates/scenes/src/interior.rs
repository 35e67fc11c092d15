//! Rooms: floors, walls, windows and the light through them.

use super::Class;
use super::atmosphere::Time;
use super::furnish::{decorate, dress_window};
use super::geometry::{Frame, Vec3, vec3};
use super::light::{Ambient, Light};
use super::material::Material;
use super::palette::{Palette, color};
use super::random::Random;
use super::shape::Shape;
use super::stage::{Extent, Stage};
use super::surface::{floor, masonry, wallpaper};
use super::tree::{self, Kind};
use super::walls::{Walls, Window, sides};
use super::world::{Primitive, Room, Shadow, World};

/// A room with a window, a ceiling lamp and some decoration.
pub(super) fn room(random: &mut Random, palette: &Palette, extent: &Extent) -> Stage {
    let walls = Walls {
        half_width: (extent.half_width + random.range(0.8, 1.8))
            .max(extent.camera.x.abs() + 0.6)
            .max(random.range(2.0, 2.8)),
        height: random.range(2.5, 3.1).max(extent.camera.y + 0.4),
        back: extent.back - random.range(0.7, 2.2),
        front: extent.camera.z + 0.8,
    };
    let time = Time::draw(random);
    let atmosphere = time.atmosphere(random);
    let wall_surface = if random.chance(0.25) {
        masonry(random, palette, false)
    } else {
        wallpaper(random, palette)
    };
    let mut world = World {
        objects: Vec::new(),
        primitives: Vec::new(),
        ground: floor(random, palette),
        sky: atmosphere.sky,
        lights: Vec::new(),
        halos: Vec::new(),
        ambient: atmosphere.ambient,
        haze: 0.0,
        room: Some(Room {
            half_width: walls.half_width,
            height: walls.height,
            back: walls.back,
        }),
        key: 0.95,
    };
    let window = enclose(random, &walls, wall_surface, &mut world);
    if let Some(window) = &window {
        dress_window(window, &mut world);
    }
    decorate(random, palette, &walls, window.as_ref(), &mut world);
    light_room(
        random,
        time,
        &walls,
        window.as_ref(),
        &atmosphere.sun,
        &mut world,
    );
    let bounce = wall_surface
        .texture
        .first
        .lerp(world.ground.texture.first, 0.4);
    let tone = bounce * 0.6 + Vec3::ONE * 0.4;
    world.ambient.up = world.ambient.up * tone;
    world.ambient.down = world.ambient.down * tone;
    Stage {
        time,
        half_width: walls.half_width - 0.1,
        back: walls.back + 0.1,
        trees: (Kind::Column, tree::leaves(random)),
        world,
    }
}

/// A studio: one colour all around, a large soft light and a weaker one opposite.
pub(super) fn studio(random: &mut Random, palette: &Palette, extent: &Extent) -> Stage {
    let paper = palette
        .color(random)
        .lerp(color(0xE9E4DC), random.range(0.15, 0.7));
    let backdrop = Material::plain(paper);
    let walls = Walls {
        half_width: extent.half_width + 4.5,
        height: 5.0,
        back: extent.back - random.range(1.2, 2.5),
        front: extent.camera.z + 1.5,
    };
    let time = Time::Overcast;
    let atmosphere = time.atmosphere(random);
    let mut ground = Material::plain(paper * random.range(0.75, 1.0));
    if random.chance(0.5) {
        ground.mirror = random.range(0.04, 0.08);
    }
    let side = random.sign();
    let warm = vec3(1.0, 0.92, 0.82);
    let cool = vec3(0.82, 0.9, 1.0);
    let (main, fill) = if random.chance(0.6) {
        (warm, cool)
    } else {
        (cool, warm)
    };
    let strength = random.range(16.0, 22.0);
    let lamp = |place: Vec3, radius: f32, color: Vec3| Light::Lamp {
        position: place,
        radius,
        color,
    };
    let mut world = World {
        objects: Vec::new(),
        primitives: Vec::new(),
        ground,
        sky: atmosphere.sky,
        lights: vec![
            lamp(
                vec3(side * random.range(2.0, 3.2), 3.2, random.range(0.8, 2.2)),
                random.range(0.25, 0.6),
                main * strength,
            ),
            lamp(vec3(-side * 3.0, 2.0, 2.0), 0.7, fill * (strength * 0.22)),
        ],
        halos: Vec::new(),
        ambient: Ambient {
            up: vec3(0.34, 0.34, 0.36),
            down: paper * 0.26,
        },
        haze: 0.0,
        room: Some(Room {
            half_width: walls.half_width,
            height: walls.height,
            back: walls.back,
        }),
        key: 0.95,
    };
    for (half, frame) in sides(&walls) {
        let panel = panel(half, None);
        world.add(
            Class::Wall,
            false,
            vec![Primitive::new(panel, frame, backdrop).casting(Shadow::None)],
        );
    }
    Stage {
        time,
        half_width: extent.half_width + 2.5,
        back: walls.back + 0.1,
        trees: (Kind::Column, tree::leaves(random)),
        world,
    }
}

/// A wall, slightly larger than the side it closes. If two walls only touched, rounding would leave cracks that
/// show the sky and let the sun in.
fn panel(half: [f32; 2], hole: Option<[f32; 4]>) -> Shape {
    let half = half.map(|edge| edge + 0.01);
    Shape::Panel { half, hole }
}

/// Adds walls and ceiling; one wall may have a window.
fn enclose(
    random: &mut Random,
    walls: &Walls,
    surface: Material,
    world: &mut World,
) -> Option<Window> {
    let chosen = [0, 1, 2, 9][random.weighted(&[1.2, 1.4, 1.4, 0.4])];
    let mut window = None;
    let ceiling = Material::plain(color(0xEDE9E1));
    for (index, (half, frame)) in sides(walls).into_iter().enumerate() {
        let hole = (index == chosen).then(|| {
            let wide = random.range(0.6, 1.1).min(half[0] - 0.4);
            // Side windows are near the group, a back window off the middle.
            let limit = (half[0] - wide - 0.25).max(0.0);
            let place = if index == 0 {
                limit * random.around(0.9)
            } else {
                // Along a side wall, the local x of z = 0 depends on which way it runs.
                let along = frame
                    .point_to_local(vec3(0.0, 0.0, random.range(-0.6, 1.0)))
                    .x;
                along.clamp(-limit, limit)
            };
            let sill = random.range(0.7, 1.0) - half[1];
            [
                place - wide,
                sill,
                place + wide,
                sill + random.range(1.1, 1.4),
            ]
        });
        if let Some(hole) = hole {
            window = Some(Window { wall: frame, hole });
        }
        let material = if index == 4 { ceiling } else { surface };
        let panel = panel(half, hole);
        let wall = Primitive::new(panel, frame, material).casting(Shadow::FromSun);
        world.add(Class::Wall, false, vec![wall]);
    }
    window
}

/// Adds the light of a room: sun and sky through the window, a ceiling lamp, and the reflection of the walls.
fn light_room(
    random: &mut Random,
    time: Time,
    walls: &Walls,
    window: Option<&Window>,
    sun: &Light,
    world: &mut World,
) {
    let dark = time.lamps_lit() || window.is_none();
    let mut base = if dark {
        vec3(0.2, 0.18, 0.16)
    } else {
        vec3(0.4, 0.41, 0.43)
    };
    if let (Some(window), Light::Sun { color, spread, .. }) = (window, *sun) {
        // The sun stands where its light falls through the window beside the group.
        let spot = vec3(random.around(0.8), 0.0, random.range(-0.3, 0.9));
        let mut direction = window.center() - spot;
        if window.wall.z.z > 0.5 {
            direction += vec3(0.0, 0.5, 0.0);
        }
        let direction = direction.normalized();
        world.sky.sun = direction;
        world.lights.push(Light::Sun {
            direction,
            spread,
            color: color * if time == Time::Overcast { 0.5 } else { 1.25 },
        });
        if !dark {
            let inside = window.center() + window.wall.z * 0.35;
            world.lights.push(Light::Lamp {
                position: inside,
                radius: 0.45,
                color: (world.sky.zenith + world.sky.horizon) * 2.6,
            });
        }
    }
    if dark || random.chance(0.3) {
        let position = vec3(
            random.around(0.8),
            walls.height - 0.16,
            random.range(-0.4, 1.0),
        );
        let warm = vec3(1.0, 0.83, 0.62);
        world.lights.push(Light::Lamp {
            position,
            radius: random.range(0.1, 0.25),
            color: warm * if dark { 6.5 } else { 2.0 },
        });
        let mut glass = Material::plain(vec3(0.9, 0.88, 0.84));
        glass.glow = warm * 2.5;
        let shape = Shape::Frustum {
            bottom: 0.16,
            top: 0.24,
            half: 0.05,
        };
        let at = Frame::at(vec3(position.x, walls.height - 0.05, position.z));
        let lamp = Primitive::new(shape, at, glass).casting(Shadow::None);
        world.add(Class::Lamp, false, vec![lamp]);
        base += warm * 0.12;
    }
    world.ambient = Ambient {
        up: base,
        down: base * 0.75,
    };
}
