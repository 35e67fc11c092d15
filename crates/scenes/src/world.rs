//! The objects of a scene, and the intersection of rays with them.

use std::ops::Range;

use super::Class;
use super::geometry::{Bound, Frame, Ray, Vec3};
use super::light::{Ambient, Light, Sky};
use super::material::Material;
use super::shape::Shape;

/// Distance from the camera in metres beyond which everything is haze, labelled sky.
pub(super) const FAR: f32 = 150.0;

/// Rays that leave a surface start this far above it, in metres.
const LIFT: f32 = 1e-3;

/// The light that a primitive blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shadow {
    /// All light.
    Full,
    /// The light of the sun: all lamps are on the same side of the walls of a room.
    FromSun,
    /// None: the globe of a lamp.
    None,
}

/// A shape with a position and a material.
#[derive(Debug, Clone, Copy)]
pub(super) struct Primitive {
    pub(super) shape: Shape,
    pub(super) frame: Frame,
    pub(super) material: Material,
    /// Figure part, 0 for everything else.
    pub(super) part: u8,
    pub(super) shadow: Shadow,
    bound: Bound,
    /// Radius of the sphere that replaces it in ambient shading; 0 if it is flat.
    pub(super) fullness: f32,
}

impl Primitive {
    pub(super) fn new(shape: Shape, frame: Frame, material: Material) -> Self {
        let bound = Bound {
            center: frame.point_to_parent(shape.middle()),
            radius: shape.reach() * 1.0005 + 1e-4,
        };
        Self {
            shape,
            frame,
            material,
            part: 0,
            shadow: Shadow::Full,
            bound,
            fullness: shape.fullness(),
        }
    }

    /// Sets the part of a figure.
    pub(super) fn part(self, part: u8) -> Self {
        Self { part, ..self }
    }

    /// Sets the shadow.
    pub(super) fn casting(self, shadow: Shadow) -> Self {
        Self { shadow, ..self }
    }

    /// Converts its frame from the coordinates of `parent`.
    pub(super) fn inside(self, parent: &Frame) -> Self {
        let part = self.part;
        let shadow = self.shadow;
        Self {
            part,
            shadow,
            ..Self::new(self.shape, parent.then(&self.frame), self.material)
        }
    }

    /// A ball around the primitive.
    pub(super) fn bound(&self) -> Bound {
        self.bound
    }

    /// Whether it is a wall and the ray, within `spread`, starts at its inner side and leads away from it: in a
    /// convex room, such a wall never blocks the ray.
    pub(super) fn faces_away(&self, ray: &Ray, spread: f32) -> bool {
        matches!(self.shape, Shape::Panel { .. }) && self.frame.z.dot(ray.direction) > spread
    }

    /// Whether the primitive may meet the cone around the ray, as wide as `spread` at one metre, before
    /// `limit`. Balls around poles, limbs and walls are mostly empty: these are tested more exactly.
    pub(super) fn meets_cone(&self, ray: &Ray, spread: f32, limit: f32) -> bool {
        if !self.bound.meets_cone(ray, spread, limit) {
            return false;
        }
        let along = (self.bound.center - ray.origin).dot(ray.direction);
        let slack = spread * (along + self.bound.radius).max(0.0);
        let Frame { origin, y, .. } = self.frame;
        match self.shape {
            Shape::Capsule { start, end, length } => {
                ray.passes(origin, y * length, start.max(end) + slack)
            }
            Shape::Frustum { bottom, top, half } => {
                ray.passes(origin - y * half, y * (2.0 * half), bottom.max(top) + slack)
            }
            Shape::Ellipsoid { radii } if radii.y > 2.0 * radii.x.max(radii.z) => {
                let reach = radii.x.max(radii.z) + slack;
                ray.passes(origin - y * radii.y, y * (2.0 * radii.y), reach)
            }
            Shape::Cuboid { half } => {
                let half = half + Vec3::ONE * slack;
                let from = self.frame.point_to_local(ray.origin);
                let toward = self.frame.direction_to_local(ray.direction);
                // The ball has been held against the limit already.
                let larger = Shape::Cuboid { half };
                larger.intersect(from, toward, 0.0, f32::MAX).is_some()
            }
            _ => true,
        }
    }

    /// The smallest distance in `(low, high)` at which the ray meets the primitive.
    pub(super) fn intersect(&self, ray: &Ray, low: f32, high: f32) -> Option<f32> {
        if !self.bound.meets(ray, high) {
            return None;
        }
        self.shape.intersect(
            self.frame.point_to_local(ray.origin),
            self.frame.direction_to_local(ray.direction),
            low,
            high,
        )
    }
}

/// Primitives that belong together: an object, or a part of the background.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) class: Class,
    /// Whether the scene was composed around it.
    pub(super) salient: bool,
    pub(super) primitives: Range<usize>,
    pub(super) bound: Bound,
}

/// The hit of a ray.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    /// Metres along the ray.
    pub(super) distance: f32,
    pub(super) point: Vec3,
    /// The normal, of unit length, towards the origin of the ray.
    pub(super) normal: Vec3,
    /// Index of the object; `None` for the ground.
    pub(super) object: Option<usize>,
    /// Index of the primitive; `None` for the ground.
    pub(super) primitive: Option<usize>,
}

impl Hit {
    /// A start point for rays that leave the surface.
    pub(super) fn lifted(&self) -> Vec3 {
        self.point + self.normal * (LIFT + 2e-4 * self.distance)
    }
}

/// The interior of a room, whose corners are darker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Half the width, in metres.
    pub(super) half_width: f32,
    pub(super) height: f32,
    /// z of the back wall.
    pub(super) back: f32,
}

/// The halo around a lamp that is lit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Halo {
    pub(super) center: Vec3,
    pub(super) radius: f32,
    pub(super) color: Vec3,
}

/// A primitive that a ray may meet, and its object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) object: usize,
    pub(super) primitive: usize,
    /// Lower bound of its distance in metres.
    pub(super) near: f32,
}

/// Object and primitive of a hit; `None` for the ground.
type Target = (Option<usize>, Option<usize>);

/// A scene ready to be rendered. The ground is the plane y = 0.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) objects: Vec<Object>,
    pub(super) primitives: Vec<Primitive>,
    pub(super) ground: Material,
    pub(super) sky: Sky,
    pub(super) lights: Vec<Light>,
    pub(super) halos: Vec<Halo>,
    pub(super) ambient: Ambient,
    /// Share of light lost per metre of air.
    pub(super) haze: f32,
    pub(super) room: Option<Room>,
    /// Brightness the exposure aims at, relative to a sunny day.
    pub(super) key: f32,
}

impl World {
    /// Adds an object, given in world coordinates.
    pub(super) fn add(&mut self, class: Class, salient: bool, primitives: Vec<Primitive>) {
        if primitives.is_empty() {
            return;
        }
        let bounds: Vec<Bound> = primitives.iter().map(Primitive::bound).collect();
        let start = self.primitives.len();
        self.primitives.extend(primitives);
        self.objects.push(Object {
            class,
            salient,
            primitives: start..self.primitives.len(),
            bound: Bound::around(&bounds),
        });
    }

    /// The first surface the ray meets within [`FAR`].
    pub(super) fn trace(&self, ray: &Ray) -> Option<Hit> {
        let (mut best, mut found) = self.ground(ray);
        for (index, object) in self.objects.iter().enumerate() {
            if !object.bound.meets(ray, best) {
                continue;
            }
            for primitive in object.primitives.clone() {
                if let Some(distance) = self.primitives[primitive].intersect(ray, 1e-4, best) {
                    best = distance;
                    found = Some((Some(index), Some(primitive)));
                }
            }
        }
        self.hit(ray, best, found)
    }

    /// As [`World::trace`], for a ray that can meet only `candidates`.
    pub(super) fn trace_among(&self, ray: &Ray, candidates: &[Candidate]) -> Option<Hit> {
        let (mut best, mut found) = self.ground(ray);
        for candidate in candidates {
            if candidate.near > best {
                break;
            }
            let primitive = candidate.primitive;
            if let Some(distance) = self.primitives[primitive].intersect(ray, 1e-4, best) {
                best = distance;
                found = Some((Some(candidate.object), Some(primitive)));
            }
        }
        self.hit(ray, best, found)
    }

    /// The maximum length of a ray, and the ground if it ends there.
    fn ground(&self, ray: &Ray) -> (f32, Option<Target>) {
        if ray.direction.y < 0.0 {
            let distance = -ray.origin.y / ray.direction.y;
            if distance > 0.0 && distance < FAR {
                return (distance, Some((None, None)));
            }
        }
        (FAR, None)
    }

    fn hit(&self, ray: &Ray, best: f32, found: Option<Target>) -> Option<Hit> {
        let (object, primitive) = found?;
        let point = ray.at(best);
        let normal = match primitive {
            None => Vec3::Y,
            Some(primitive) => {
                let Primitive { shape, frame, .. } = &self.primitives[primitive];
                let outward = frame.direction_to_parent(shape.normal(frame.point_to_local(point)));
                if outward.dot(ray.direction) > 0.0 {
                    -outward
                } else {
                    outward
                }
            }
        };
        Some(Hit {
            distance: best,
            point,
            normal,
            object,
            primitive,
        })
    }

    /// The surface a hit is on.
    pub(super) fn material(&self, hit: &Hit) -> &Material {
        match hit.primitive {
            None => &self.ground,
            Some(primitive) => &self.primitives[primitive].material,
        }
    }
}
