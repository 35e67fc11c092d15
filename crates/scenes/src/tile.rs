//! Tiles of the picture with the primitives that their rays can meet.

use super::camera::Camera;
use super::world::{Candidate, World};

/// Edge of a tile in pixels.
const EDGE: u32 = 16;

/// The candidates of every tile of the picture, nearest first.
pub(super) struct Tiles {
    across: u32,
    candidates: Vec<Vec<Candidate>>,
}

impl Tiles {
    /// Sorts the primitives of `world` into the tiles of the picture `camera` takes.
    pub(super) fn new(world: &World, camera: &Camera) -> Self {
        let [width, height] = camera.size;
        let (across, down) = (width.div_ceil(EDGE), height.div_ceil(EDGE));
        let mut candidates = Vec::with_capacity((across * down) as usize);
        for row in 0..down {
            for column in 0..across {
                candidates.push(in_tile(world, camera, [column * EDGE, row * EDGE]));
            }
        }
        Self { across, candidates }
    }

    /// The candidates of rays through this pixel, including its corners.
    pub(super) fn at(&self, x: u32, y: u32) -> &[Candidate] {
        &self.candidates[(y / EDGE * self.across + x / EDGE) as usize]
    }
}

/// The primitives whose balls meet the cone around the tile.
fn in_tile(world: &World, camera: &Camera, [left, top]: [u32; 2]) -> Vec<Candidate> {
    let (left, top, edge) = (left as f32, top as f32, EDGE as f32);
    let middle = camera.ray(left + edge * 0.5, top + edge * 0.5);
    let cosine = [(0.0, 0.0), (edge, 0.0), (0.0, edge), (edge, edge)]
        .map(|(right, down)| {
            let corner = camera.ray(left + right, top + down);
            corner.direction.dot(middle.direction)
        })
        .into_iter()
        .fold(1.0, f32::min);
    // The tangent of the widest angle, and a little more against rounding.
    let spread = (1.0 - cosine * cosine).max(0.0).sqrt() / cosine * 1.001 + 1e-4;
    let mut found = Vec::new();
    for (index, object) in world.objects.iter().enumerate() {
        if !object.bound.meets_cone(&middle, spread, f32::MAX) {
            continue;
        }
        for primitive in object.primitives.clone() {
            let bound = world.primitives[primitive].bound();
            if world.primitives[primitive].meets_cone(&middle, spread, f32::MAX) {
                let distance = (bound.center - middle.origin).length();
                found.push(Candidate {
                    object: index,
                    primitive,
                    near: distance - bound.radius,
                });
            }
        }
    }
    found.sort_by(|one, two| one.near.total_cmp(&two.near));
    found
}
