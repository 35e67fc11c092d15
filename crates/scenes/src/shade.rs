//! Shading: the light from a hit towards the camera.

use super::geometry::{Ray, Vec3, smoothstep};
use super::light::DiscSampler;
use super::material::Material;
use super::noise::noise_vector;
use super::sample::Sample;
use super::shadow::visibility;
use super::shape::Shape;
use super::world::{Hit, Object, Primitive, World};

/// Maximum brightness: otherwise an edge against a lamp would stay jagged.
const BRIGHTEST: f32 = 8.0;

/// The light along a ray whose first surface is `hit`.
pub(super) fn radiance(world: &World, ray: &Ray, hit: Option<&Hit>, sample: &Sample) -> Vec3 {
    let Some(hit) = hit else {
        return limited(glare(world, ray, f32::MAX) + world.sky.color(ray.direction));
    };
    let material = world.material(hit);
    let normal = bumped(world, hit, material);
    let mut light = surface(world, ray, hit, normal, sample);
    if material.mirror > 0.0 {
        let cosine = -normal.dot(ray.direction);
        let left = (1.0 - cosine).clamp(0.0, 1.0);
        let square = left * left;
        // Schlick's approximation; at most a third, since real surfaces are rough at grazing angles.
        let share = (material.mirror + (1.0 - material.mirror) * square * square * left).min(0.33);
        if share > 0.015 {
            let mirrored = Ray {
                origin: hit.lifted(),
                direction: (ray.direction + normal * (2.0 * cosine)).normalized(),
            };
            let seen = match world.trace(&mirrored) {
                Some(there) => {
                    let wide = Sample {
                        shadow_points: DiscSampler::RIM,
                        spread: sample.spread * 2.0,
                        ..*sample
                    };
                    let facing = bumped(world, &there, world.material(&there));
                    surface(world, &mirrored, &there, facing, &wide)
                }
                None => world.sky.color(mirrored.direction),
            };
            light = light.lerp(limited(seen), share);
        }
    }
    if world.haze > 0.0 {
        let clear = libm::expf(-world.haze * hit.distance);
        light = world.sky.haze(ray.direction).lerp(light, clear);
    }
    limited(light + glare(world, ray, hit.distance))
}

/// Direct light, ambient light and glow of a surface, without reflection.
fn surface(world: &World, ray: &Ray, hit: &Hit, normal: Vec3, sample: &Sample) -> Vec3 {
    let material = world.material(hit);
    let facing = -hit.normal.dot(ray.direction);
    let footprint = sample.spread * hit.distance / facing.max(0.15);
    let albedo = albedo(world, hit, footprint);
    let open = openness(world, hit, normal);
    let share = 0.5 + 0.5 * normal.y;
    let mut diffuse = world.ambient.down.lerp(world.ambient.up, share) * open;
    let mut highlight = Vec3::ZERO;
    for (number, light) in world.lights.iter().enumerate() {
        let arrival = light.arrive(hit.lifted());
        let cosine = normal.dot(arrival.direction);
        // A wide light still reaches surfaces slightly turned away from its middle.
        let wrap = arrival.spread.min(0.3) * 0.5;
        let lambert = ((cosine + wrap) / (1.0 + wrap)).max(0.0);
        let brightest = arrival.color.x.max(arrival.color.y).max(arrival.color.z);
        if lambert * brightest < 0.002 || hit.normal.dot(arrival.direction) < -wrap {
            continue;
        }
        let visible = visibility(world, hit, number, &arrival, sample);
        if visible == 0.0 {
            continue;
        }
        diffuse += arrival.color * (lambert * visible);
        if material.gloss > 0.0 {
            let half = (arrival.direction - ray.direction).normalized();
            let mut power = half.dot(normal).max(0.0);
            for _ in 0..material.sharpness {
                power = power * power;
            }
            highlight += arrival.color * (power * material.gloss * visible);
        }
    }
    albedo * diffuse + highlight + material.glow
}

/// The colour of a surface, without light.
fn albedo(world: &World, hit: &Hit, footprint: f32) -> Vec3 {
    let material = world.material(hit);
    match hit.primitive {
        None => material.texture.color(hit.point, Vec3::Y, footprint),
        Some(primitive) => {
            let frame = &world.primitives[primitive].frame;
            material.texture.color(
                frame.point_to_local(hit.point),
                frame.direction_to_local(hit.normal),
                footprint,
            )
        }
    }
}

/// The shading normal: bumps tilt it, and the edges of boxes are slightly round.
fn bumped(world: &World, hit: &Hit, material: &Material) -> Vec3 {
    let mut normal = hit.normal;
    let [strength, period] = material.bump;
    if strength > 0.0 {
        let tilt = noise_vector(hit.point * (1.0 / period), material.texture.seed);
        normal = (normal + tilt * strength).normalized();
    }
    let Some(primitive) = hit.primitive else {
        return normal;
    };
    let Primitive { shape, frame, .. } = &world.primitives[primitive];
    if let Shape::Cuboid { half } = shape {
        let point = frame.point_to_local(hit.point);
        let width = 0.06 * half.x.min(half.y).min(half.z);
        let lean = |point: f32, half: f32| {
            let near = 1.0 - ((half - point.abs()) / width).clamp(0.0, 1.0);
            if point < 0.0 { -near } else { near }
        };
        let outward = frame.x * lean(point.x, half.x)
            + frame.y * lean(point.y, half.y)
            + frame.z * lean(point.z, half.z);
        normal = (normal + (outward - normal * outward.dot(normal)) * 0.7).normalized();
    }
    normal
}

/// The share of ambient light that nearby objects do not block.
///
/// Every primitive counts as a sphere, for which the share has a closed form; corners of rooms
/// darken by the distance to the other walls. Smooth, and free of the noise of sampling.
fn openness(world: &World, hit: &Hit, normal: Vec3) -> f32 {
    let mut open = 1.0;
    for (index, object) in world.objects.iter().enumerate() {
        let offset = object.bound.center - hit.point;
        let reach = 3.0 * object.bound.radius + 0.2;
        if offset.dot(offset) > reach * reach {
            continue;
        }
        open *= 1.0 - shelter(world, object, hit, normal, hit.object == Some(index));
    }
    if let Some(room) = &world.room {
        let corner = |distance: f32, cosine: f32| {
            // A wall does not darken itself.
            let across = 1.0 - cosine.abs();
            1.0 - 0.45 * across * (1.0 - smoothstep(0.0, 0.9, distance))
        };
        open *= corner(room.half_width - hit.point.x.abs(), hit.normal.x);
        open *= corner(hit.point.z - room.back, hit.normal.z);
        open *= corner(room.height - hit.point.y, hit.normal.y);
        open *= corner(hit.point.y, hit.normal.y);
    }
    open.max(0.08)
}

/// The share of ambient light that one object blocks.
fn shelter(world: &World, object: &Object, hit: &Hit, normal: Vec3, own: bool) -> f32 {
    let mut taken: f32 = 0.0;
    for index in object.primitives.clone() {
        let primitive = &world.primitives[index];
        let radius = primitive.fullness;
        if hit.primitive == Some(index) || radius == 0.0 {
            continue;
        }
        let offset = primitive.bound().center - hit.point;
        let square = offset.dot(offset);
        if square > 25.0 * radius * radius {
            continue;
        }
        let distance = square.sqrt().max(1e-4);
        let toward = normal.dot(offset) / distance;
        // Less a constant, so that it reaches zero at the limit above without a step.
        let share = (radius * radius / square.max(radius * radius) - 0.04).max(0.0);
        // Spheres partly below the horizon of the surface fade in smoothly.
        taken += share * smoothstep(-0.5, 1.0, toward) * if own { 0.35 } else { 0.8 };
    }
    taken.min(0.75)
}

/// The halo of lamps between the camera and the first surface.
fn glare(world: &World, ray: &Ray, limit: f32) -> Vec3 {
    let mut light = Vec3::ZERO;
    for halo in &world.halos {
        let offset = halo.center - ray.origin;
        let along = offset.dot(ray.direction);
        if along <= 0.0 || along > limit + halo.radius * 2.0 {
            continue;
        }
        let miss = offset - ray.direction * along;
        let ratio = miss.dot(miss) / (halo.radius * halo.radius);
        light += halo.color * (0.02 / (1.0 + ratio * 0.35) + 0.18 / (1.0 + ratio * ratio));
    }
    light
}

/// Keeps a colour below [`BRIGHTEST`].
fn limited(color: Vec3) -> Vec3 {
    Vec3 {
        x: color.x.min(BRIGHTEST),
        y: color.y.min(BRIGHTEST),
        z: color.z.min(BRIGHTEST),
    }
}
