//! A place without things in it.

use super::atmosphere::Time;
use super::geometry::Vec3;
use super::tree::Kind;
use super::world::World;

/// The part of the ground that a setting must leave free, in metres.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Largest distance of the group from x = 0.
    pub(super) half_width: f32,
    /// Smallest z of the group.
    pub(super) back: f32,
    /// Where the camera is.
    pub(super) camera: Vec3,
}

/// A place without things in it.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) time: Time,
    /// Objects may be placed where |x| is below this.
    pub(super) half_width: f32,
    /// Things may stand where z is above this.
    pub(super) back: f32,
    /// Kind and leaves of the trees, if any grow here.
    pub(super) trees: (Kind, Vec3),
}
