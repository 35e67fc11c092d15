//! A pinhole camera.

use super::geometry::{Ray, Vec3, vec3};

/// A camera with its position, orientation and field of view.
#[derive(Debug, Clone, Copy)]
pub(super) struct Camera {
    pub(super) position: Vec3,
    pub(super) right: Vec3,
    pub(super) up: Vec3,
    pub(super) forward: Vec3,
    /// Tangents of half the horizontal and half the vertical field of view.
    pub(super) tangents: [f32; 2],
    /// Width and height in pixels.
    pub(super) size: [u32; 2],
}

impl Camera {
    /// Creates a camera at `position`, looking at `target`, with the horizon tilted by `roll` radians.
    ///
    /// `tangent` is the tangent of half the field of view along the shorter edge of the picture.
    pub(super) fn new(
        position: Vec3,
        target: Vec3,
        roll: f32,
        tangent: f32,
        [width, height]: [u32; 2],
    ) -> Self {
        let forward = (target - position).normalized();
        let level = forward.cross(Vec3::Y).normalized();
        let (sine, cosine) = libm::sincosf(roll);
        let right = level * cosine + level.cross(forward) * sine;
        let shorter = width.min(height) as f32;
        Self {
            position,
            right,
            up: right.cross(forward),
            forward,
            tangents: [
                tangent * width as f32 / shorter,
                tangent * height as f32 / shorter,
            ],
            size: [width, height],
        }
    }

    /// The ray through a point of the picture, in pixels from its upper left corner.
    pub(super) fn ray(&self, x: f32, y: f32) -> Ray {
        let across = (2.0 * x / self.size[0] as f32 - 1.0) * self.tangents[0];
        let above = (1.0 - 2.0 * y / self.size[1] as f32) * self.tangents[1];
        Ray {
            origin: self.position,
            direction: (self.forward + self.right * across + self.up * above).normalized(),
        }
    }

    /// Converts a direction to camera coordinates: x to the right, y up, z towards the camera.
    pub(super) fn direction_to_camera(&self, direction: Vec3) -> Vec3 {
        vec3(
            direction.dot(self.right),
            direction.dot(self.up),
            -direction.dot(self.forward),
        )
    }

    /// Size of a pixel at one metre, in metres.
    pub(super) fn pixel_spread(&self) -> f32 {
        2.0 * self.tangents[1] / self.size[1] as f32
    }

    /// The point on the ground that is `depth` metres ahead and `across` of the way from the
    /// middle of the picture to its right edge.
    pub(super) fn ground_point(&self, across: f32, depth: f32) -> Vec3 {
        let ahead = vec3(self.forward.x, 0.0, self.forward.z).normalized();
        let right = vec3(-ahead.z, 0.0, ahead.x);
        let foot = vec3(self.position.x, 0.0, self.position.z);
        foot + ahead * depth + right * (across * depth * self.tangents[0])
    }
}
