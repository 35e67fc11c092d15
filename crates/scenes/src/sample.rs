//! What a ray carries with it.

use std::cell::Cell;

use super::world::World;

/// What a ray needs to know besides where it goes.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a> {
    /// Which pixel it belongs to.
    pub(super) pixel: [u32; 2],
    /// Size of a pixel at one metre.
    pub(super) spread: f32,
    /// Points of a light looked at where its shadow is soft.
    pub(super) shadow_points: usize,
    /// What to look at first for shadows.
    pub(super) blockers: &'a Blockers,
}

/// The primitive that last kept each light away entirely.
///
/// Neighbouring points mostly lie in the same shadow: looking at this one first often settles the
/// matter. It is a shortcut only and changes no result.
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
