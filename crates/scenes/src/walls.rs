//! The walls of a room, and its window.

use super::geometry::{Frame, Vec3, vec3};

/// The walls of a room.
pub(super) struct Walls {
    pub(super) half_width: f32,
    pub(super) height: f32,
    pub(super) back: f32,
    pub(super) front: f32,
}

/// The position and size of a window.
pub(super) struct Window {
    /// The frame of the wall: x along it, y up, z into the room.
    pub(super) wall: Frame,
    /// Left, bottom, right and top in the wall's coordinates.
    pub(super) hole: [f32; 4],
}

impl Window {
    pub(super) fn center(&self) -> Vec3 {
        let [left, bottom, right, top] = self.hole;
        self.wall
            .point_to_parent(vec3((left + right) * 0.5, (bottom + top) * 0.5, 0.0))
    }
}

/// Half edges and frames of the back, left, right and front walls and the ceiling; z points inwards.
pub(super) fn sides(walls: &Walls) -> [([f32; 2], Frame); 5] {
    let middle = (walls.back + walls.front) * 0.5;
    let length = (walls.front - walls.back) * 0.5;
    let up = walls.height * 0.5;
    let quarter = std::f32::consts::FRAC_PI_2;
    let wide = walls.half_width;
    [
        ([wide, up], Frame::at(vec3(0.0, up, walls.back))),
        (
            [length, up],
            Frame::yaw(quarter).moved_to(vec3(-wide, up, middle)),
        ),
        (
            [length, up],
            Frame::yaw(-quarter).moved_to(vec3(wide, up, middle)),
        ),
        (
            [wide, up],
            Frame::yaw(2.0 * quarter).moved_to(vec3(0.0, up, walls.front)),
        ),
        (
            [wide, length],
            Frame::pitch(quarter).moved_to(vec3(0.0, walls.height, middle)),
        ),
    ]
}
