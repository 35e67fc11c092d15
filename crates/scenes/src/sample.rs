//! What a ray carries with it.

use std::cell::Cell;

use super::world::World;

/// The context of a ray.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a> {
    /// Which pixel it belongs to.
    pub(super) pixel: [u32; 2],
    /// Size of a pixel at one metre.
    pub(super) spread: f32,
    /// Number of points of a light that are sampled in soft shadows.
    pub(super) shadow_points: usize,
    /// What to look at first for shadows.
    pub(super) blockers: &'a Blockers,
}

/// For each light, the primitive that last blocked it entirely.
///
/// Neighbouring points are mostly in the same shadow, so testing this primitive first is often enough. This
/// only saves time and does not change any result.
pub(super) struct Blockers(Vec<Cell<usize>>);

impl Blockers {
    pub(super) fn new(world: &World) -> Self {
        Self(world.lights.iter().map(|_| Cell::new(usize::MAX)).collect())
    }

    /// The one of light `number`; a number beyond all primitives if there is none yet.
    pub(super) fn of_light(&self, number: usize) -> &Cell<usize> {
        &self.0[number]
    }
}
