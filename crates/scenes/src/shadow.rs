//! How much of a light reaches a point.

use super::geometry::{Ray, Vec3};
use super::light::{Arrival, DiscSampler};
use super::sample::Sample;
use super::world::{Hit, Primitive, Shadow, World};

/// Maximum number of primitives that are listed near a penumbra.
const LISTED: usize = 48;

/// A point, and a light that may or may not reach it.
struct Query<'a> {
    world: &'a World,
    arrival: &'a Arrival,
    /// The ray from the point to the middle of the light.
    ray: Ray,
    /// The primitive of the point, unless it may shadow itself: no convex shape does if the whole light is
    /// above its horizon.
    own: Option<usize>,
}

impl Query<'_> {
    /// Whether a primitive may be in the way.
    fn concerns(&self, index: usize) -> bool {
        let primitive = &self.world.primitives[index];
        let casts = match primitive.shadow {
            Shadow::Full => true,
            Shadow::FromSun => self.arrival.sun,
            Shadow::None => false,
        };
        let Arrival {
            spread, distance, ..
        } = *self.arrival;
        casts
            && !(self.own == Some(index) && primitive.shape.convex())
            && !primitive.faces_away(&self.ray, spread)
            && primitive.meets_cone(&self.ray, spread, distance)
    }

    /// The bits of `open` whose `directions` a primitive does not block.
    fn left(&self, index: usize, directions: &[Vec3], open: u32) -> u32 {
        let Primitive { shape, frame, .. } = &self.world.primitives[index];
        let origin = frame.point_to_local(self.ray.origin);
        let mut left = open;
        for (number, direction) in directions.iter().enumerate() {
            if (open >> number) & 1 == 1 {
                let direction = frame.direction_to_local(*direction);
                let met = shape.intersect(origin, direction, 1e-4, self.arrival.distance);
                left &= !(u32::from(met.is_some()) << number);
            }
        }
        left
    }
}

/// The share of light `number` that reaches a hit.
///
/// Four rays to the rim of the light distinguish light, shadow and penumbra; a penumbra uses
/// `sample.shadow_points` rays in total.
pub(super) fn visibility(
    world: &World,
    hit: &Hit,
    number: usize,
    arrival: &Arrival,
    sample: &Sample,
) -> f32 {
    const RIM: usize = DiscSampler::RIM;
    const POINTS: usize = DiscSampler::POINTS;
    let above = hit.normal.dot(arrival.direction) > arrival.spread;
    let query = Query {
        world,
        arrival,
        ray: Ray {
            origin: hit.lifted(),
            direction: arrival.direction,
        },
        own: hit.primitive.filter(|_| above),
    };
    let sampler = DiscSampler::new(arrival, sample.pixel);
    let rim: [Vec3; RIM] = std::array::from_fn(|index| sampler.direction(index));
    let all = (1 << RIM) - 1;
    let last = sample.blockers.of_light(number);
    if last.get() < world.primitives.len()
        && query.concerns(last.get())
        && query.left(last.get(), &rim, all) == 0
    {
        return 0.0;
    }
    let (mut casters, mut count, mut open) = ([0; LISTED], 0, all);
    for object in &world.objects {
        let bound = &object.bound;
        if !bound.meets_cone(&query.ray, arrival.spread, arrival.distance) {
            continue;
        }
        for index in object.primitives.clone() {
            if !query.concerns(index) {
                continue;
            }
            open = query.left(index, &rim, open);
            if open == 0 {
                last.set(index);
                return 0.0;
            }
            // More than fit would be a crowd: the last ones are left out.
            if count < LISTED {
                casters[count] = index;
                count += 1;
            }
        }
    }
    let points = sample.shadow_points.min(POINTS);
    if open == all || points <= RIM {
        return open.count_ones() as f32 / RIM as f32;
    }
    let inner: [Vec3; POINTS - RIM] = std::array::from_fn(|index| sampler.direction(RIM + index));
    let inner = &inner[..points - RIM];
    let mut open_inside = (1 << inner.len()) - 1;
    for index in &casters[..count] {
        open_inside = query.left(*index, inner, open_inside);
        if open_inside == 0 {
            break;
        }
    }
    (open.count_ones() + open_inside.count_ones()) as f32 / points as f32
}
