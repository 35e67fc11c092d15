//! Shapes and their intersections with rays, all in their own coordinates.
//!
//! A shape computes the first intersection with a ray, and the normal at a point of its surface. The normal
//! depends only on the point, so it is computed once per pixel and not once per candidate.

#[cfg(test)]
mod tests;

use super::geometry::{Vec3, vec3};

/// Maximum number of steps of the march towards a torus; grazing rays that need more miss it.
const TORUS_STEPS: usize = 64;

/// Distance at which the march has arrived, in metres.
const TORUS_TOLERANCE: f32 = 2e-4;

/// A surface around the origin. Lengths in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// A sphere.
    Sphere { radius: f32 },
    /// An ellipsoid.
    Ellipsoid { radii: Vec3 },
    /// A box of these half edges.
    Cuboid { half: Vec3 },
    /// A capped cone frustum along y: a cylinder if the radii agree, a cone if the top one is 0.
    Frustum { bottom: f32, top: f32, half: f32 },
    /// Two spheres, at the origin and at `length` along y, and their common tangent cone.
    Capsule { start: f32, end: f32, length: f32 },
    /// A ring around y.
    Torus { major: f32, minor: f32 },
    /// A rectangle in the plane z = 0 with half edges `half`, perhaps with a rectangular hole:
    /// its left, bottom, right and top.
    Panel {
        half: [f32; 2],
        hole: Option<[f32; 4]>,
    },
}

impl Shape {
    /// Radius of a ball around [`Shape::middle`] that encloses the shape.
    pub(super) fn reach(&self) -> f32 {
        match *self {
            Self::Sphere { radius } => radius,
            Self::Ellipsoid { radii } => radii.x.max(radii.y).max(radii.z),
            Self::Cuboid { half } => half.length(),
            Self::Frustum { bottom, top, half } => {
                let widest = bottom.max(top);
                (widest * widest + half * half).sqrt()
            }
            Self::Capsule { start, end, length } => length * 0.5 + start.max(end),
            Self::Torus { major, minor } => major + minor,
            Self::Panel { half, .. } => (half[0] * half[0] + half[1] * half[1]).sqrt(),
        }
    }

    /// Radius of the sphere that takes about as much ambient light; 0 for flat shapes.
    pub(super) fn fullness(&self) -> f32 {
        match *self {
            Self::Sphere { radius } => radius,
            Self::Ellipsoid { radii } => (radii.x + radii.y + radii.z) * (1.0 / 3.0),
            Self::Cuboid { half } if half.x.min(half.y).min(half.z) < 0.03 => 0.0,
            Self::Cuboid { half } => (half.x + half.y + half.z) * 0.38,
            Self::Frustum { half, .. } if half < 0.03 => 0.0,
            Self::Frustum { bottom, top, half } => (bottom + top + half) * 0.38,
            Self::Capsule { start, end, length } => (start + end) * 0.4 + length * 0.15,
            Self::Torus { major, minor } => major * 0.5 + minor,
            Self::Panel { .. } => 0.0,
        }
    }

    /// Whether the shape is convex.
    pub(super) fn convex(&self) -> bool {
        !matches!(self, Self::Torus { .. })
    }

    /// The middle of the shape.
    pub(super) fn middle(&self) -> Vec3 {
        match *self {
            Self::Capsule { length, .. } => vec3(0.0, length * 0.5, 0.0),
            _ => Vec3::ZERO,
        }
    }

    /// The smallest distance in `(low, high)` at which the ray meets the surface.
    ///
    /// `direction` is of unit length.
    pub(super) fn intersect(
        &self,
        origin: Vec3,
        direction: Vec3,
        low: f32,
        high: f32,
    ) -> Option<f32> {
        let mut nearest = Nearest { low, best: high };
        match *self {
            Self::Sphere { radius } => nearest.sphere(origin, direction, radius),
            Self::Ellipsoid { radii } => {
                let inverse = vec3(1.0 / radii.x, 1.0 / radii.y, 1.0 / radii.z);
                // In scaled space the shape is the unit sphere; distances along the ray scale
                // with the length of the direction.
                let scaled = direction * inverse;
                let stretch = scaled.length();
                nearest.scaled_sphere(origin * inverse, scaled * (1.0 / stretch), 1.0 / stretch);
            }
            Self::Cuboid { half } => nearest.cuboid(origin, direction, half),
            Self::Frustum { bottom, top, half } => {
                let middle = (bottom + top) * 0.5;
                let slope = (top - bottom) / (2.0 * half);
                // Whatever meets a lid meets the cone through its rim.
                if nearest.cone(origin, direction, middle, slope, [-half, half]) {
                    nearest.disc(origin, direction, -half, bottom);
                    nearest.disc(origin, direction, half, top);
                }
            }
            Self::Capsule { start, end, length } => {
                let tangent = Tangent::new(start, end, length);
                let (radius, slope) = (tangent.radius_at_origin, tangent.slope);
                // Both spheres lie inside the cone that touches them.
                if nearest.cone(origin, direction, radius, slope, tangent.ends) {
                    nearest.sphere(origin, direction, start);
                    nearest.sphere(origin - vec3(0.0, length, 0.0), direction, end);
                }
            }
            Self::Torus { major, minor } => nearest.torus(origin, direction, major, minor),
            Self::Panel { half, hole } => {
                let distance = -origin.z / nonzero(direction.z);
                let x = origin.x + direction.x * distance;
                let y = origin.y + direction.y * distance;
                let open = hole.is_some_and(|[left, bottom, right, top]| {
                    x > left && x < right && y > bottom && y < top
                });
                if x.abs() <= half[0] && y.abs() <= half[1] && !open {
                    nearest.offer(distance);
                }
            }
        }
        (nearest.best < high).then_some(nearest.best)
    }

    /// The outward normal at `point` on the surface.
    pub(super) fn normal(&self, point: Vec3) -> Vec3 {
        match *self {
            Self::Sphere { .. } => point.normalized(),
            Self::Ellipsoid { radii } => vec3(
                point.x / (radii.x * radii.x),
                point.y / (radii.y * radii.y),
                point.z / (radii.z * radii.z),
            )
            .normalized(),
            Self::Cuboid { half } => {
                // The face the point is on is the one it is least inside of.
                let inside = half - point.abs();
                if inside.x < inside.y && inside.x < inside.z {
                    vec3(sign(point.x), 0.0, 0.0)
                } else if inside.y < inside.z {
                    vec3(0.0, sign(point.y), 0.0)
                } else {
                    vec3(0.0, 0.0, sign(point.z))
                }
            }
            Self::Frustum { bottom, top, half } => {
                let slope = (top - bottom) / (2.0 * half);
                let radius = (bottom + top) * 0.5 + slope * point.y;
                let from_axis = (point.x * point.x + point.z * point.z).sqrt();
                if half - point.y.abs() < (radius - from_axis).abs() {
                    vec3(0.0, sign(point.y), 0.0)
                } else {
                    vec3(point.x, -slope * from_axis, point.z).normalized()
                }
            }
            Self::Capsule { start, end, length } => {
                let tangent = Tangent::new(start, end, length);
                if point.y < tangent.ends[0] {
                    point.normalized()
                } else if point.y > tangent.ends[1] {
                    (point - vec3(0.0, length, 0.0)).normalized()
                } else {
                    let from_axis = (point.x * point.x + point.z * point.z).sqrt();
                    vec3(point.x, -tangent.slope * from_axis, point.z).normalized()
                }
            }
            Self::Torus { major, .. } => {
                let from_axis = (point.x * point.x + point.z * point.z).sqrt();
                let share = 1.0 - major / from_axis.max(1e-6);
                vec3(point.x * share, point.y, point.z * share).normalized()
            }
            Self::Panel { .. } => Vec3::Z,
        }
    }
}

/// The cone between the spheres of a capsule.
struct Tangent {
    /// Where the cone touches the spheres, along y.
    ends: [f32; 2],
    radius_at_origin: f32,
    slope: f32,
}

impl Tangent {
    fn new(start: f32, end: f32, length: f32) -> Self {
        let sine = ((start - end) / length).clamp(-0.95, 0.95);
        let cosine = (1.0 - sine * sine).sqrt();
        Self {
            ends: [start * sine, length + end * sine],
            radius_at_origin: start / cosine,
            slope: -sine / cosine,
        }
    }
}

/// The nearest intersection so far.
struct Nearest {
    low: f32,
    best: f32,
}

impl Nearest {
    fn offer(&mut self, distance: f32) {
        if distance > self.low && distance < self.best {
            self.best = distance;
        }
    }

    fn sphere(&mut self, origin: Vec3, direction: Vec3, radius: f32) {
        let along = -origin.dot(direction);
        let miss = origin + direction * along;
        let remainder = radius * radius - miss.dot(miss);
        if remainder > 0.0 {
            let half = remainder.sqrt();
            self.offer(along - half);
            self.offer(along + half);
        }
    }

    fn scaled_sphere(&mut self, origin: Vec3, direction: Vec3, scale: f32) {
        let along = -origin.dot(direction);
        let miss = origin + direction * along;
        let remainder = 1.0 - miss.dot(miss);
        if remainder > 0.0 {
            let half = remainder.sqrt();
            self.offer((along - half) * scale);
            self.offer((along + half) * scale);
        }
    }

    fn cuboid(&mut self, origin: Vec3, direction: Vec3, half: Vec3) {
        let slab = |origin: f32, direction: f32, half: f32| {
            let inverse = 1.0 / nonzero(direction);
            let (one, two) = ((-half - origin) * inverse, (half - origin) * inverse);
            if one < two { (one, two) } else { (two, one) }
        };
        let (x_in, x_out) = slab(origin.x, direction.x, half.x);
        let (y_in, y_out) = slab(origin.y, direction.y, half.y);
        let (z_in, z_out) = slab(origin.z, direction.z, half.z);
        let enter = x_in.max(y_in).max(z_in);
        let leave = x_out.min(y_out).min(z_out);
        if enter < leave {
            self.offer(enter);
            self.offer(leave);
        }
    }

    /// Adds the side of a cone with radius `radius + slope * y`, for y between `ends`; returns whether the line
    /// of the ray meets the infinite cone.
    fn cone(
        &mut self,
        origin: Vec3,
        direction: Vec3,
        radius: f32,
        slope: f32,
        ends: [f32; 2],
    ) -> bool {
        let here = radius + slope * origin.y;
        let change = slope * direction.y;
        let a = direction.x * direction.x + direction.z * direction.z - change * change;
        let b = origin.x * direction.x + origin.z * direction.z - change * here;
        let c = origin.x * origin.x + origin.z * origin.z - here * here;
        let discriminant = b * b - a * c;
        if discriminant < 0.0 {
            return false;
        }
        let root = discriminant.sqrt();
        // The form that does not subtract nearly equal numbers; it also holds where a vanishes.
        let sum = if b < 0.0 { root - b } else { -(root + b) };
        for distance in [sum / nonzero(a), c / nonzero(sum)] {
            let y = origin.y + direction.y * distance;
            if y > ends[0] && y < ends[1] {
                self.offer(distance);
            }
        }
        true
    }

    fn disc(&mut self, origin: Vec3, direction: Vec3, height: f32, radius: f32) {
        let distance = (height - origin.y) / nonzero(direction.y);
        let x = origin.x + direction.x * distance;
        let z = origin.z + direction.z * distance;
        if x * x + z * z < radius * radius {
            self.offer(distance);
        }
    }

    /// Adds a torus by sphere tracing, which is as exact as a pixel needs and solves no quartic equation.
    fn torus(&mut self, origin: Vec3, direction: Vec3, major: f32, minor: f32) {
        let along = -origin.dot(direction);
        let miss = origin + direction * along;
        let remainder = (major + minor) * (major + minor) - miss.dot(miss);
        if remainder <= 0.0 {
            return;
        }
        let half = remainder.sqrt();
        let mut distance = (along - half).max(self.low);
        let leave = (along + half).min(self.best);
        for _ in 0..TORUS_STEPS {
            let point = origin + direction * distance;
            let from_axis = (point.x * point.x + point.z * point.z).sqrt() - major;
            let gap = (from_axis * from_axis + point.y * point.y).sqrt() - minor;
            if gap < TORUS_TOLERANCE {
                self.offer(distance);
                return;
            }
            distance += gap;
            if distance > leave {
                return;
            }
        }
    }
}

/// -1 for negative numbers, 1 for the others.
fn sign(value: f32) -> f32 {
    if value < 0.0 { -1.0 } else { 1.0 }
}

/// A divisor kept away from zero, to avoid infinities and their product with zero.
fn nonzero(value: f32) -> f32 {
    if value.abs() > 1e-12 { value } else { 1e-12 }
}
