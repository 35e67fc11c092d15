//! Composition: a salient group, a camera aimed at it, and surrounding objects.

use super::Class;
use super::camera::Camera;
use super::figure::figure;
use super::geometry::{Vec3, vec3};
use super::light::Light;
use super::palette::Palette;
use super::prop::{self, Prop};
use super::random::Random;
use super::setting::Setting;
use super::stage::{Extent, Stage};
use super::tree;
use super::world::{Halo, Primitive, World};

/// The solids, all equally likely.
const SOLIDS: [Class; 5] = [
    Class::Box,
    Class::Ball,
    Class::Cylinder,
    Class::Cone,
    Class::Ring,
];

/// An occupied disc of the ground.
#[derive(Debug, Clone, Copy)]
struct Disc {
    place: Vec3,
    radius: f32,
}

impl Disc {
    fn overlaps(&self, other: &Self) -> bool {
        let (x, z) = (self.place.x - other.place.x, self.place.z - other.place.z);
        let gap = self.radius + other.radius + 0.06;
        x * x + z * z < gap * gap
    }
}

/// The group that the picture is composed around.
struct Group {
    things: Vec<(Class, Vec<Primitive>)>,
    discs: Vec<Disc>,
    height: f32,
}

impl Group {
    /// Places a prop on the ground near the middle, or on a pedestal.
    fn place(&mut self, random: &mut Random, stack: Vec<(Prop, Vec3, f32)>, spread: f32) {
        let Some((base, _, _)) = stack.first() else {
            return;
        };
        let radius = stack.iter().fold(base.radius, |radius, (prop, offset, _)| {
            radius.max(prop.radius * 0.8 + offset.x.abs() + offset.z.abs())
        });
        let mut disc = Disc {
            place: Vec3::ZERO,
            radius,
        };
        let free = |disc: &Disc, discs: &[Disc]| !discs.iter().any(|other| disc.overlaps(other));
        if !self.discs.is_empty() {
            // Wider than deep, and growing until there is room.
            let mut reach = spread;
            for _ in 0..60 {
                disc.place = vec3(random.around(reach * 1.3), 0.0, random.around(reach * 0.75));
                if free(&disc, &self.discs) {
                    break;
                }
                reach *= 1.04;
            }
        }
        self.discs.push(disc);
        for (prop, offset, yaw) in stack {
            let place = disc.place + offset;
            self.height = self.height.max(offset.y + prop.height);
            self.things.push((prop.class, prop.placed(place, yaw)));
        }
    }

    /// Smallest and largest x and z.
    fn bounds(&self) -> [f32; 4] {
        self.discs.iter().fold(
            [f32::MAX, f32::MIN, f32::MAX, f32::MIN],
            |[left, right, back, front], Disc { place, radius }| {
                [
                    left.min(place.x - radius),
                    right.max(place.x + radius),
                    back.min(place.z - radius),
                    front.max(place.z + radius),
                ]
            },
        )
    }
}

/// Composes a scene.
pub(super) fn compose(random: &mut Random, size: [u32; 2]) -> (World, Camera) {
    let setting = Setting::draw(random);
    let palette = Palette::draw(random);
    let group = subjects(random, &palette, setting);
    let camera = aim(random, &group, setting, size);
    let [left, right, back, _] = group.bounds();
    let extent = Extent {
        half_width: right.max(-left),
        back,
        camera: camera.position,
    };
    let mut stage = Stage::build(random, setting, &palette, &extent);
    let mut discs = group.discs.clone();
    for (class, primitives) in group.things {
        stage.world.add(class, true, primitives);
    }
    surroundings(random, &palette, setting, &camera, &mut stage, &mut discs);
    (stage.world, camera)
}

/// Draws a group of figures, solids, or both.
fn subjects(random: &mut Random, palette: &Palette, setting: Setting) -> Group {
    let (figures, solids) = match random.weighted(&[0.22, 0.45, 0.33]) {
        0 => (random.between(1, 3), 0),
        1 => (random.between(1, 2), random.between(1, 3)),
        _ => (0, random.between(2, 5)),
    };
    let figures = if setting == Setting::Studio {
        figures.min(2)
    } else {
        figures
    };
    let mut group = Group {
        things: Vec::new(),
        discs: Vec::new(),
        height: 0.0,
    };
    let size = if figures > 0 { 0.75 } else { 0.85 } * random.range(0.85, 1.25);
    let spread = 0.2 * (figures + solids) as f32 + 0.15;
    for _ in 0..figures {
        let seat = random.chance(0.22);
        let (person, seat_height) = figure(random, palette, seat);
        // Towards the camera, give or take.
        let freedom = if random.chance(0.8) { 0.9 } else { 3.1 };
        let yaw = random.around(freedom);
        let mut person = person;
        person.radius = (person.radius * 0.62).min(0.5);
        let mut stack = vec![(person, Vec3::ZERO, yaw)];
        if seat && seat_height > 0.15 {
            let half = random.range(0.2, 0.25);
            let stool = prop::pedestal(random, palette, half, seat_height);
            stack.push((stool, Vec3::ZERO, yaw));
        }
        group.place(random, stack, spread);
    }
    for _ in 0..solids {
        let class = random.pick(&SOLIDS);
        let mut stack = Vec::new();
        let mut top = 0.0;
        let tall = size * random.range(0.65, 1.25);
        let one = prop::solid(random, palette, class, tall);
        if random.chance(0.28) {
            let half = (one.radius * random.range(0.85, 1.2)).clamp(0.2, 0.6);
            let height = random.range(0.35, 0.8);
            let base = prop::pedestal(random, palette, half, height);
            top = height;
            stack.push((base, Vec3::ZERO, random.range(0.0, 3.1)));
        }
        let (table, height) = (one.table, one.height);
        stack.push((one, vec3(0.0, top, 0.0), random.range(0.0, 6.2)));
        if table > 0.2 && random.chance(0.35) {
            let class = random.pick(&SOLIDS);
            let tall = table * random.range(1.0, 1.6);
            let small = prop::solid(random, palette, class, tall);
            stack.push((small, vec3(0.0, top + height, 0.0), random.range(0.0, 6.2)));
        }
        group.place(random, stack, spread);
    }
    group
}

/// Returns a camera that shows the whole group, slightly off centre.
fn aim(random: &mut Random, group: &Group, setting: Setting, size: [u32; 2]) -> Camera {
    let [left, right, back, front] = group.bounds();
    let tangent = random.range(0.36, 0.5);
    let shorter = size[0].min(size[1]).max(1) as f32;
    let (wide, tall) = (
        tangent * size[0] as f32 / shorter,
        tangent * size[1] as f32 / shorter,
    );
    let fill = random.range(0.64, 0.86);
    let needed = (group.height / (2.0 * tall * fill)).max((right - left) / (2.0 * wide * fill));
    let distance = (needed + front * 0.6).clamp(1.8, 9.0);
    let middle = vec3(
        (left + right) * 0.5,
        group.height * 0.47,
        (back + front) * 0.5,
    );
    let elevation = if random.chance(0.2) {
        random.range(-0.02, 0.06)
    } else {
        random.range(0.08, 0.36)
    };
    let azimuth = random.around(if setting.outdoors() { 0.6 } else { 0.32 });
    let (side, ahead) = libm::sincosf(azimuth);
    let (up, level) = libm::sincosf(elevation);
    let offset = vec3(side * level, up, ahead * level) * distance;
    let mut position = middle + offset;
    position.y = position.y.max(0.3);
    // The third of the picture that the group leaves free is as often left as right.
    let slack = wide * distance * (1.0 - fill) * 0.55;
    let across = vec3(ahead, 0.0, -side) * random.around(slack);
    let target = middle + across + vec3(0.0, random.around(0.06) * group.height, 0.0);
    Camera::new(position, target, random.around(0.02), tangent, size)
}

/// Adds everything outside the group.
fn surroundings(
    random: &mut Random,
    palette: &Palette,
    setting: Setting,
    camera: &Camera,
    stage: &mut Stage,
    discs: &mut Vec<Disc>,
) {
    let outdoors = setting.outdoors();
    let lit = stage.time.lamps_lit();
    let focus = {
        let foot = vec3(camera.position.x, 0.0, camera.position.z);
        discs
            .first()
            .map_or(4.0, |disc| (disc.place - foot).length())
    };
    let mut put = |random: &mut Random, stage: &mut Stage, prop: Prop, depths: [f32; 2]| {
        let wanted = Spot {
            depths,
            tall: prop.height > 0.5,
            focus,
        };
        if let Some(place) = find(random, camera, stage, discs, prop.radius, &wanted) {
            let yaw = random.range(0.0, 6.2);
            shine(&mut stage.world, &prop, place, outdoors);
            stage.world.add(prop.class, false, prop.placed(place, yaw));
        }
    };
    let lamps = match setting {
        Setting::Studio => 0,
        _ if lit => random.between(1, 2),
        Setting::Plaza => random.between(0, 2),
        Setting::Meadow => usize::from(random.chance(0.2)),
        Setting::Room => usize::from(random.chance(0.55)),
    };
    for _ in 0..lamps {
        let on = lit || (!outdoors && random.chance(0.4));
        let lamp = prop::lamp(random, palette, outdoors, on);
        put(
            random,
            stage,
            lamp,
            [focus + 0.4, focus + if lit { 2.6 } else { 7.0 }],
        );
    }
    let (kind, tone) = stage.trees;
    let trees = match setting {
        Setting::Studio => 0,
        Setting::Room => usize::from(random.chance(0.6)),
        Setting::Plaza => random.between(0, 3),
        Setting::Meadow => random.between(2, 7),
    };
    for _ in 0..trees {
        let plant = if outdoors {
            let height = random.range(2.6, 5.5);
            let tone = tone * random.range(0.85, 1.15);
            tree::tree(random, kind, tone, height)
        } else {
            let height = random.range(0.8, 1.4);
            tree::potted(random, palette, tone, height)
        };
        let far = if setting == Setting::Meadow {
            28.0
        } else {
            9.0
        };
        let near = if outdoors { 3.0 } else { 0.3 };
        put(random, stage, plant, [focus + near, focus + far]);
    }
    let solids = match setting {
        Setting::Studio => 0,
        Setting::Room | Setting::Meadow => random.between(0, 2),
        Setting::Plaza => random.between(0, 3),
    };
    for _ in 0..solids {
        let class = random.pick(&SOLIDS);
        let size = random.range(0.4, 0.9);
        let solid = prop::solid(random, palette, class, size);
        put(
            random,
            stage,
            solid,
            [focus + 0.8, focus + if outdoors { 8.0 } else { 3.0 }],
        );
    }
    if outdoors && random.chance(0.3) {
        let (person, _) = figure(random, palette, false);
        put(random, stage, person, [focus + 3.0, focus + 9.0]);
    }
    for _ in 0..random.between(0, if setting == Setting::Studio { 1 } else { 3 }) {
        let small = prop::clutter(random, palette);
        put(random, stage, small, [(focus - 1.4).max(1.2), focus + 1.0]);
    }
}

/// The constraints on the position of an object.
struct Spot {
    /// Smallest and largest distance from the camera.
    depths: [f32; 2],
    /// Whether it is tall enough to hide objects behind it.
    tall: bool,
    /// Distance of the group.
    focus: f32,
}

/// Finds a free position in view.
fn find(
    random: &mut Random,
    camera: &Camera,
    stage: &Stage,
    discs: &mut Vec<Disc>,
    radius: f32,
    wanted: &Spot,
) -> Option<Vec3> {
    for _ in 0..24 {
        let depth = random.range(wanted.depths[0], wanted.depths[1]);
        let across = random.around(0.95);
        if wanted.tall && depth < wanted.focus + 1.0 && across.abs() < 0.55 {
            continue;
        }
        let place = camera.ground_point(across, depth);
        let disc = Disc { place, radius };
        let inside = place.x.abs() < stage.half_width - radius
            && place.z > stage.back + radius
            && place.z < camera.position.z - 0.8;
        if inside && !discs.iter().any(|other| disc.overlaps(other)) {
            discs.push(disc);
            return Some(place);
        }
    }
    None
}

/// Adds the light of a lamp.
fn shine(world: &mut World, prop: &Prop, place: Vec3, outdoors: bool) {
    let Some(bulb) = prop.bulb else {
        return;
    };
    let warm = vec3(1.0, 0.66, 0.36);
    let position = place + bulb.center;
    world.lights.push(Light::Lamp {
        position,
        radius: bulb.radius,
        color: warm * if outdoors { 9.0 } else { 2.2 },
    });
    world.halos.push(Halo {
        center: position,
        radius: bulb.radius * 1.6,
        color: warm * if outdoors { 0.8 } else { 0.35 },
    });
}
