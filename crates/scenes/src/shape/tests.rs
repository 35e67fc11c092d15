//! Shapes against their formulas.

use super::super::geometry::{Frame, Ray, Vec3, vec3};
use super::super::material::Material;
use super::super::world::Primitive;
use super::*;

/// The distance along a ray towards -z from z = 5, shifted by `x` and `y`.
fn distance(shape: Shape, frame: Frame, x: f32, y: f32) -> Option<f32> {
    let material = Material::plain(Vec3::ONE);
    let ray = Ray {
        origin: vec3(x, y, 5.0),
        direction: -Vec3::Z,
    };
    Primitive::new(shape, frame, material).intersect(&ray, 0.0, 100.0)
}

#[test]
fn shapes_agree_with_their_formulas() {
    let here = Frame::at(Vec3::ZERO);
    let close = |found: Option<f32>, expected: f32| {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    };
    close(
        distance(Shape::Sphere { radius: 1.0 }, here, 0.6, 0.0),
        5.0 - 0.8,
    );
    let radii = vec3(1.0, 1.0, 2.0);
    close(
        distance(Shape::Ellipsoid { radii }, here, 0.6, 0.0),
        5.0 - 1.6,
    );
    let half = vec3(1.0, 1.0, 0.5);
    close(distance(Shape::Cuboid { half }, here, 0.3, -0.2), 4.5);
    let cylinder = Shape::Frustum {
        bottom: 1.0,
        top: 1.0,
        half: 1.0,
    };
    close(distance(cylinder, here, 0.6, 0.5), 5.0 - 0.8);
    assert_eq!(distance(cylinder, here, 0.6, 1.5), None);
    let cone = Shape::Frustum {
        bottom: 1.0,
        top: 0.0,
        half: 1.0,
    };
    close(distance(cone, here, 0.0, 0.0), 4.5);
    assert_eq!(distance(cone, here, 0.6, 0.0), None);
    // Seen from above and from below.
    let above = Frame::pitch(std::f32::consts::FRAC_PI_2);
    close(distance(cone, above, 0.1, 0.0), 4.2);
    let below = Frame::pitch(-std::f32::consts::FRAC_PI_2);
    close(distance(cone, below, 0.3, 0.3), 4.0);
    let capsule = Shape::Capsule {
        start: 0.5,
        end: 0.5,
        length: 2.0,
    };
    close(distance(capsule, here, 0.3, 1.0), 5.0 - 0.4);
    close(distance(capsule, here, 0.0, 2.3), 5.0 - 0.4);
    let torus = Shape::Torus {
        major: 1.0,
        minor: 0.25,
    };
    close(distance(torus, here, 0.0, 0.0), 3.75);
    assert_eq!(distance(torus, above, 0.0, 0.0), None);
    let panel = Shape::Panel {
        half: [1.0, 1.0],
        hole: Some([0.0, 0.0, 0.5, 0.5]),
    };
    close(distance(panel, here, -0.5, 0.3), 5.0);
    assert_eq!(distance(panel, here, 0.25, 0.25), None);
}

/// Points found by rays lie on the surface, and the normal is the gradient there.
#[test]
fn normals_agree_with_finite_differences() {
    let shapes = [
        Shape::Sphere { radius: 0.7 },
        Shape::Ellipsoid {
            radii: vec3(0.5, 0.8, 0.6),
        },
        Shape::Frustum {
            bottom: 0.8,
            top: 0.3,
            half: 0.9,
        },
        Shape::Capsule {
            start: 0.5,
            end: 0.2,
            length: 0.9,
        },
        Shape::Torus {
            major: 0.7,
            minor: 0.25,
        },
    ];
    let frame = Frame::yaw(0.6).then(&Frame::pitch(0.5));
    for shape in shapes {
        let mut compared = 0;
        for step in 0..144 {
            let (x, y) = (
                (step % 12) as f32 * 0.12 - 0.66,
                (step / 12) as f32 * 0.12 - 0.66,
            );
            let size = 2e-3;
            let near = [
                (0.0, 0.0),
                (size, 0.0),
                (0.0, size),
                (-size, 0.0),
                (0.0, -size),
            ]
            .map(|(right, up)| distance(shape, frame, x + right, y + up));
            let [Some(here), Some(right), Some(up), Some(left), Some(down)] = near else {
                continue;
            };
            // Away from rims, where the surface bends sharply.
            let bend = (right + left - 2.0 * here).abs() + (up + down - 2.0 * here).abs();
            if bend > size * 0.15 {
                continue;
            }
            let slope = 1.0 / (2.0 * size);
            let expected = vec3((right - left) * slope, (up - down) * slope, 1.0).normalized();
            let point = frame.point_to_local(vec3(x, y, 5.0 - here));
            let normal = frame.direction_to_parent(shape.normal(point));
            assert!(normal.dot(expected) > 0.97, "{shape:?} {x} {y}");
            compared += 1;
        }
        assert!(compared > 20, "{shape:?} {compared}");
    }
}
