//! Labels, computed from the hits of the rays through the pixel centres.

use super::camera::Camera;
use super::render::Buffers;
use super::world::{Hit, World};
use super::{Class, IGNORE, Instance, Scene, SceneConfig};

/// Returns the scene with the picture and its labels.
pub(super) fn label(
    world: &World,
    camera: &Camera,
    buffers: &Buffers,
    config: &SceneConfig,
    image: image::RgbImage,
) -> Scene {
    let hits = &buffers.hits;
    let per_hit = |label: &dyn Fn(&Hit) -> u8, sky: u8| -> Vec<u8> {
        hits.iter()
            .map(|hit| hit.as_ref().map_or(sky, label))
            .collect()
    };
    let classes = per_hit(&|hit| class(world, hit) as u8, Class::Sky as u8);
    let saliency = per_hit(
        &|hit| {
            u8::from(
                hit.object
                    .is_some_and(|object| world.objects[object].salient),
            )
        },
        0,
    );
    let mut parts = per_hit(
        &|hit| {
            hit.primitive
                .map_or(0, |primitive| world.primitives[primitive].part)
        },
        0,
    );
    if parts.iter().all(|part| *part == 0) {
        parts.fill(IGNORE);
    }
    let depth = hits
        .iter()
        .map(|hit| hit.map_or(0.0, |hit| (hit.point - camera.position).dot(camera.forward)))
        .collect();
    let normals = hits
        .iter()
        .map(|hit| {
            hit.map_or([0.0; 3], |hit| {
                let normal = camera.direction_to_camera(hit.normal).normalized();
                // Adding zero turns -0 into 0: the bytes do not depend on the sign of nothing.
                [normal.x + 0.0, normal.y + 0.0, normal.z + 0.0]
            })
        })
        .collect();
    Scene {
        instances: instances(world, hits, camera.size, config.minimum_instance_pixels),
        edges: boundaries(&regions(world, hits), camera.size[0] as usize),
        image,
        classes,
        parts,
        saliency,
        normals,
        depth,
    }
}

fn class(world: &World, hit: &Hit) -> Class {
    hit.object
        .map_or(Class::Ground, |object| world.objects[object].class)
}

/// Returns the visible objects, in the order in which the scene was built.
fn instances(
    world: &World,
    hits: &[Option<Hit>],
    [width, _]: [u32; 2],
    minimum: u32,
) -> Vec<Instance> {
    let mut masks: Vec<Option<(Instance, u32)>> = vec![None; world.objects.len()];
    for (index, hit) in hits.iter().enumerate() {
        let Some(object) = hit.and_then(|hit| hit.object) else {
            continue;
        };
        let class = world.objects[object].class;
        if !class.is_thing() {
            continue;
        }
        let x = (index % width as usize) as u32;
        let y = (index / width as usize) as u32;
        let (instance, area) = masks[object].get_or_insert_with(|| {
            let empty = Instance {
                class: class as u8,
                bounds: [x, y, x, y],
                mask: vec![0; hits.len()],
            };
            (empty, 0)
        });
        instance.mask[index] = 1;
        let [left, top, right, bottom] = instance.bounds;
        instance.bounds = [left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)];
        *area += 1;
    }
    masks
        .into_iter()
        .flatten()
        .filter(|(_, area)| *area >= minimum)
        .map(|(instance, _)| instance)
        .collect()
}

/// Returns a number per pixel: that of its object, or that of its background class.
fn regions(world: &World, hits: &[Option<Hit>]) -> Vec<usize> {
    hits.iter()
        .map(|hit| match hit {
            None => Class::Sky as usize,
            Some(hit) => match (hit.object, class(world, hit)) {
                (Some(object), class) if class.is_thing() => super::CLASSES.len() + object,
                (_, class) => class as usize,
            },
        })
        .collect()
}

/// Returns the boundaries of a region map with rows of `width` pixels: 1 where a pixel's left, right, upper or
/// lower neighbour belongs to another region, else 0.
///
/// Both sides of a boundary are marked, so edges are the same after a flip.
pub fn boundaries<T: PartialEq>(regions: &[T], width: usize) -> Vec<u8> {
    let mut edges = vec![0; regions.len()];
    for here in 0..regions.len() {
        let last_column = (here + 1) % width.max(1) == 0;
        let right = (!last_column).then_some(here + 1);
        for there in right.into_iter().chain([here + width]) {
            if regions
                .get(there)
                .is_some_and(|there| *there != regions[here])
            {
                edges[here] = 1;
                edges[there] = 1;
            }
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_have_two_sides() {
        let regions = [1, 1, 1, 1, 1, 2, 1, 1, 1, 3, 1, 1];
        let edges = [0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0];
        assert_eq!(boundaries(&regions, 3), edges);
        assert!(boundaries(&regions[..0], 0).is_empty());
    }
}
