//! Vectors, rays and frames, in metres.
//!
//! World coordinates are right-handed: x to the right, y up, z out of the picture, towards the
//! camera, which looks along -z apart from its pitch and yaw.

use std::ops::{Add, AddAssign, Mul, Neg, Sub};

/// A point, a direction or a linear colour.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Vec3 {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) z: f32,
}

/// Shorthand for a [`Vec3`].
pub(super) const fn vec3(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3 { x, y, z }
}

impl Vec3 {
    pub(super) const ZERO: Self = vec3(0.0, 0.0, 0.0);
    pub(super) const ONE: Self = vec3(1.0, 1.0, 1.0);
    pub(super) const X: Self = vec3(1.0, 0.0, 0.0);
    pub(super) const Y: Self = vec3(0.0, 1.0, 0.0);
    pub(super) const Z: Self = vec3(0.0, 0.0, 1.0);

    pub(super) fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    pub(super) fn cross(self, other: Self) -> Self {
        vec3(
            self.y * other.z - self.z * other.y,
            self.z * other.x - self.x * other.z,
            self.x * other.y - self.y * other.x,
        )
    }

    pub(super) fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// The unit vector along `self`; up if `self` is zero.
    pub(super) fn normalized(self) -> Self {
        let length = self.length();
        if length > 1e-20 {
            self * (1.0 / length)
        } else {
            Self::Y
        }
    }

    /// Linear interpolation: `self` at 0, `other` at 1.
    pub(super) fn lerp(self, other: Self, share: f32) -> Self {
        self + (other - self) * share
    }

    /// Absolute value of every component.
    pub(super) fn abs(self) -> Self {
        vec3(self.x.abs(), self.y.abs(), self.z.abs())
    }
}

impl Add for Vec3 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        vec3(self.x + other.x, self.y + other.y, self.z + other.z)
    }
}

impl AddAssign for Vec3 {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Vec3 {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        vec3(self.x - other.x, self.y - other.y, self.z - other.z)
    }
}

impl Mul<f32> for Vec3 {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        vec3(self.x * factor, self.y * factor, self.z * factor)
    }
}

/// Componentwise, as a filter acts on a colour.
impl Mul for Vec3 {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        vec3(self.x * other.x, self.y * other.y, self.z * other.z)
    }
}

impl Neg for Vec3 {
    type Output = Self;
    fn neg(self) -> Self {
        vec3(-self.x, -self.y, -self.z)
    }
}

/// 0 below `low`, 1 above `high`, smooth in between.
pub(super) fn smoothstep(low: f32, high: f32, value: f32) -> f32 {
    let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
    share * share * (3.0 - 2.0 * share)
}

/// A half line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ray {
    pub(super) origin: Vec3,
    /// Direction of unit length.
    pub(super) direction: Vec3,
}

impl Ray {
    pub(super) fn at(&self, distance: f32) -> Vec3 {
        self.origin + self.direction * distance
    }

    /// Whether the line of the ray comes within `reach` of the segment from `start` to
    /// `start + span`.
    pub(super) fn passes(&self, start: Vec3, span: Vec3, reach: f32) -> bool {
        let offset = start - self.origin;
        let (along, slant) = (span.dot(self.direction), offset.dot(self.direction));
        // Where on the segment the distance to the line is smallest; anywhere if they are parallel.
        let steep = (span.dot(span) - along * along).max(1e-12);
        let share = ((along * slant - span.dot(offset)) / steep).clamp(0.0, 1.0);
        let nearest = offset + span * share;
        let ahead = nearest.dot(self.direction);
        nearest.dot(nearest) - ahead * ahead <= reach * reach
    }
}

/// A bounding ball.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bound {
    pub(super) center: Vec3,
    pub(super) radius: f32,
}

impl Bound {
    /// Whether the ray enters the ball before `limit`.
    #[inline]
    pub(super) fn meets(&self, ray: &Ray, limit: f32) -> bool {
        let to_center = self.center - ray.origin;
        let along = to_center.dot(ray.direction);
        let miss = to_center - ray.direction * along;
        miss.dot(miss) <= self.radius * self.radius
            && along > -self.radius
            && along - self.radius < limit
    }

    /// Whether the ball meets the cone around the ray, as wide as `spread` at one metre, before `limit`; it may
    /// return `true` for a ball that only comes close.
    #[inline]
    pub(super) fn meets_cone(&self, ray: &Ray, spread: f32, limit: f32) -> bool {
        let to_center = self.center - ray.origin;
        let along = to_center.dot(ray.direction);
        if along < -self.radius || along - self.radius > limit {
            return false;
        }
        let miss = to_center - ray.direction * along;
        let wide = self.radius + spread * (along + self.radius);
        miss.dot(miss) <= wide * wide
    }

    /// Returns a small ball that encloses all of `bounds`; it is not always the smallest.
    pub(super) fn around(bounds: &[Self]) -> Self {
        let (mut low, mut high) = (Vec3::ONE * f32::MAX, Vec3::ONE * f32::MIN);
        for bound in bounds {
            let (center, radius) = (bound.center, bound.radius);
            low = vec3(
                low.x.min(center.x - radius),
                low.y.min(center.y - radius),
                low.z.min(center.z - radius),
            );
            high = vec3(
                high.x.max(center.x + radius),
                high.y.max(center.y + radius),
                high.z.max(center.z + radius),
            );
        }
        let center = (low + high) * 0.5;
        let radius = bounds.iter().fold(0.0_f32, |radius, bound| {
            radius.max((bound.center - center).length() + bound.radius)
        });
        Self { center, radius }
    }
}

/// A position and an orientation: orthonormal, right-handed axes in the parent's coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    pub(super) origin: Vec3,
    pub(super) x: Vec3,
    pub(super) y: Vec3,
    pub(super) z: Vec3,
}

impl Frame {
    /// The frame at `origin` without rotation.
    pub(super) const fn at(origin: Vec3) -> Self {
        Self {
            origin,
            x: Vec3::X,
            y: Vec3::Y,
            z: Vec3::Z,
        }
    }

    /// The frame at `origin` with the y axis along `direction`; x is horizontal if possible.
    pub(super) fn along(origin: Vec3, direction: Vec3) -> Self {
        let y = direction.normalized();
        let helper = if y.z.abs() < 0.9 { Vec3::Z } else { Vec3::X };
        let x = y.cross(helper).normalized();
        Self {
            origin,
            x,
            y,
            z: x.cross(y),
        }
    }

    /// A rotation about x: y turns towards z.
    pub(super) fn pitch(angle: f32) -> Self {
        let (sine, cosine) = libm::sincosf(angle);
        Self {
            origin: Vec3::ZERO,
            x: Vec3::X,
            y: vec3(0.0, cosine, sine),
            z: vec3(0.0, -sine, cosine),
        }
    }

    /// A rotation about y: z turns towards x.
    pub(super) fn yaw(angle: f32) -> Self {
        let (sine, cosine) = libm::sincosf(angle);
        Self {
            origin: Vec3::ZERO,
            x: vec3(cosine, 0.0, -sine),
            y: Vec3::Y,
            z: vec3(sine, 0.0, cosine),
        }
    }

    /// A rotation about z: x turns towards y.
    pub(super) fn roll(angle: f32) -> Self {
        let (sine, cosine) = libm::sincosf(angle);
        Self {
            origin: Vec3::ZERO,
            x: vec3(cosine, sine, 0.0),
            y: vec3(-sine, cosine, 0.0),
            z: Vec3::Z,
        }
    }

    /// The same orientation at another origin.
    pub(super) fn moved_to(self, origin: Vec3) -> Self {
        Self { origin, ..self }
    }

    /// The frame `inner`, given in the coordinates of `self`, in the coordinates of the parent.
    pub(super) fn then(&self, inner: &Self) -> Self {
        Self {
            origin: self.point_to_parent(inner.origin),
            x: self.direction_to_parent(inner.x),
            y: self.direction_to_parent(inner.y),
            z: self.direction_to_parent(inner.z),
        }
    }

    pub(super) fn direction_to_parent(&self, local: Vec3) -> Vec3 {
        self.x * local.x + self.y * local.y + self.z * local.z
    }

    pub(super) fn point_to_parent(&self, local: Vec3) -> Vec3 {
        self.origin + self.direction_to_parent(local)
    }

    pub(super) fn direction_to_local(&self, direction: Vec3) -> Vec3 {
        vec3(
            direction.dot(self.x),
            direction.dot(self.y),
            direction.dot(self.z),
        )
    }

    pub(super) fn point_to_local(&self, point: Vec3) -> Vec3 {
        self.direction_to_local(point - self.origin)
    }
}
