//! Tests of whole scenes, and of the shapes against their formulas.

use rayon::prelude::*;

use super::geometry::{Frame, Vec3, vec3};
use super::material::Material;
use super::random::Random;
use super::shape::Shape;
use super::world::{Primitive, World};
use super::*;

/// Small enough for a debug build.
fn small() -> SceneConfig {
    SceneConfig {
        width: 64,
        height: 48,
        samples: 2,
        ..SceneConfig::default()
    }
}

/// FNV-1a with 64 bits.
fn fnv(hash: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A number for everything in a scene.
fn digest(scene: &Scene) -> u64 {
    let floats = |values: &[f32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_bits().to_le_bytes())
            .collect()
    };
    let mut hash = fnv(0xcbf2_9ce4_8422_2325, scene.image.as_raw().iter().copied());
    for map in [&scene.classes, &scene.parts, &scene.saliency, &scene.edges] {
        hash = fnv(hash, map.iter().copied());
    }
    hash = fnv(hash, floats(scene.normals.as_flattened()));
    hash = fnv(hash, floats(&scene.depth));
    for instance in &scene.instances {
        hash = fnv(hash, [instance.class]);
        hash = fnv(hash, instance.bounds.into_iter().flat_map(u32::to_le_bytes));
        hash = fnv(hash, instance.mask.iter().copied());
    }
    hash
}

/// The bytes are pinned: a change of them changes the data of all users, and results measured on it.
#[test]
fn bytes_are_pinned() {
    let hash = (0..6).fold(0, |hash: u64, index| {
        hash.rotate_left(7) ^ digest(&render(&small(), index))
    });
    assert_eq!(hash, 0x78b1_f9b9_4512_1af0, "0x{hash:016x}");
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let digests = |threads: usize| -> Vec<u64> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
            .install(|| {
                (0..8_u64)
                    .into_par_iter()
                    .map(|index| digest(&render(&small(), index)))
                    .collect()
            })
    };
    let alone = digests(1);
    assert_eq!(alone, digests(4));
    assert!(alone.windows(2).all(|pair| pair[0] != pair[1]));
}

/// No function whose last bits differ between machines may slip in.
#[test]
fn sources_use_no_transcendental_of_the_standard_library() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let forbidden = [
        "sin",
        "cos",
        "tan",
        "sin_cos",
        "asin",
        "acos",
        "atan",
        "atan2",
        "exp",
        "exp2",
        "ln",
        "log2",
        "log10",
        "powf",
        "powi",
        "mul_add",
        "hypot",
        "cbrt",
        "to_radians",
        "to_degrees",
    ];
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Folders hold tests only.
        if path.is_dir() {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        for name in forbidden {
            for call in [
                format!(".{name}("),
                format!("f32::{name}("),
                format!("f64::{name}("),
            ] {
                assert!(!source.contains(&call), "{call} in {}", path.display());
            }
        }
        read += 1;
    }
    assert!(read > 10);
}

#[test]
fn every_map_has_its_size_and_range() {
    let config = small();
    for index in 0..12 {
        let scene = render(&config, index);
        let pixels = 64 * 48;
        assert_eq!(scene.image.dimensions(), (64, 48));
        for map in [&scene.classes, &scene.parts, &scene.saliency, &scene.edges] {
            assert_eq!(map.len(), pixels);
        }
        assert_eq!((scene.normals.len(), scene.depth.len()), (pixels, pixels));
        let below = |map: &[u8], limit: usize| map.iter().all(|label| usize::from(*label) < limit);
        assert!(below(&scene.classes, CLASSES.len()));
        assert!(below(&scene.saliency, 2) && below(&scene.edges, 2));
        let figure = scene.classes.contains(&(Class::Figure as u8));
        if figure {
            assert!(below(&scene.parts, PARTS.len()));
        } else {
            assert!(scene.parts.iter().all(|part| *part == IGNORE));
        }
        for (class, part) in scene.classes.iter().zip(&scene.parts) {
            let of_figure = *class == Class::Figure as u8;
            assert_eq!(of_figure, (1..=6).contains(part), "scene {index}");
        }
        assert!(scene.saliency.contains(&1), "scene {index} shows its group");
    }
    assert_eq!(CLASSES.len(), PALETTE.len());
    assert_eq!(Class::Clutter as usize + 1, CLASSES.len());
    assert_eq!(Part::LowerLegs as usize + 1, PARTS.len());
}

#[test]
fn normals_are_unit_and_face_the_camera() {
    let config = small();
    for index in 0..12 {
        let scene = render(&config, index);
        let (_, camera) = layout::compose(&mut after_noise(&config, index), [64, 48]);
        for (pixel, (normal, depth)) in scene.normals.iter().zip(&scene.depth).enumerate() {
            let sky = scene.classes[pixel] == Class::Sky as u8;
            assert_eq!(sky, *depth == 0.0);
            if sky {
                assert_eq!(*normal, [0.0; 3]);
                continue;
            }
            assert!(*depth > 0.0 && depth.is_finite());
            let [x, y, z] = *normal;
            let normal = vec3(x, y, z);
            assert!((normal.length() - 1.0).abs() < 1e-4);
            let ray = camera.ray((pixel % 64) as f32 + 0.5, (pixel / 64) as f32 + 0.5);
            let toward = camera.direction_to_camera(-ray.direction);
            assert!(normal.dot(toward) > -2e-3, "scene {index} pixel {pixel}");
        }
    }
}

/// The stream of a scene as `render` hands it to the layout.
fn after_noise(config: &SceneConfig, index: u64) -> Random {
    let mut random = Random::new(config.seed, index);
    random.bits();
    random
}

/// On the ground, the normal is that of the plane through neighbouring points.
#[test]
fn depth_agrees_with_normals_on_the_ground() {
    let config = small();
    let mut compared = 0;
    for index in 0..12 {
        let (world, camera) = layout::compose(&mut after_noise(&config, index), [64, 48]);
        let hits = render::trace(&world, &camera).hits;
        let scene = render(&config, index);
        let ground = |pixel: usize| {
            hits[pixel].is_some_and(|hit| hit.object.is_none()) && scene.depth[pixel] < 12.0
        };
        // A point in camera coordinates, from its depth alone.
        let point = |pixel: usize| {
            let x = ((pixel % 64) as f32 + 0.5) / 32.0 - 1.0;
            let y = 1.0 - ((pixel / 64) as f32 + 0.5) / 24.0;
            let depth = scene.depth[pixel];
            vec3(
                x * camera.tangents[0] * depth,
                y * camera.tangents[1] * depth,
                -depth,
            )
        };
        for pixel in (0..64 * 47).filter(|pixel| pixel % 64 < 63) {
            let (right, below) = (pixel + 1, pixel + 64);
            if !(ground(pixel) && ground(right) && ground(below)) {
                continue;
            }
            let across = point(right) - point(pixel);
            let down = point(below) - point(pixel);
            let expected = down.cross(across).normalized();
            let [x, y, z] = scene.normals[pixel];
            assert!(
                expected.dot(vec3(x, y, z)) > 0.995,
                "scene {index} pixel {pixel}"
            );
            compared += 1;
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn boxes_are_tight_and_masks_disjoint() {
    let config = small();
    for index in 0..12 {
        let scene = render(&config, index);
        let mut owners = vec![0; 64 * 48];
        for instance in &scene.instances {
            let area: u32 = instance.mask.iter().map(|value| u32::from(*value)).sum();
            assert!(area >= config.minimum_instance_pixels);
            let mut bounds = [u32::MAX, u32::MAX, 0, 0];
            for (pixel, value) in instance.mask.iter().enumerate() {
                if *value == 1 {
                    let (x, y) = ((pixel % 64) as u32, (pixel / 64) as u32);
                    bounds = [
                        bounds[0].min(x),
                        bounds[1].min(y),
                        bounds[2].max(x + 1),
                        bounds[3].max(y + 1),
                    ];
                    owners[pixel] += 1;
                    assert_eq!(scene.classes[pixel], instance.class);
                }
            }
            assert_eq!(bounds, instance.bounds);
        }
        assert!(owners.iter().all(|owners| *owners <= 1));
    }
}

#[test]
fn edges_lie_between_regions() {
    let config = SceneConfig {
        minimum_instance_pixels: 0,
        ..small()
    };
    for index in 0..12 {
        let scene = render(&config, index);
        let region = |pixel: usize| {
            let of = |instance: &Instance| instance.mask[pixel] == 1;
            (scene.classes[pixel], scene.instances.iter().position(of))
        };
        for y in 0..48_usize {
            for x in 0..64_usize {
                let pixel = y * 64 + x;
                let mut neighbours = Vec::new();
                neighbours.extend((x > 0).then(|| pixel - 1));
                neighbours.extend((x < 63).then(|| pixel + 1));
                neighbours.extend((y > 0).then(|| pixel - 64));
                neighbours.extend((y < 47).then(|| pixel + 64));
                let differs = neighbours
                    .iter()
                    .any(|other| region(*other) != region(pixel));
                assert_eq!(
                    scene.edges[pixel],
                    u8::from(differs),
                    "scene {index} {x} {y}"
                );
            }
        }
    }
}

#[test]
fn every_class_and_part_occurs() {
    let config = SceneConfig {
        width: 40,
        height: 32,
        samples: 1,
        ..SceneConfig::default()
    };
    let scenes: Vec<Scene> = (0..64_u64)
        .into_par_iter()
        .map(|index| render(&config, index))
        .collect();
    for (label, name) in CLASSES.iter().enumerate() {
        let with = |scene: &&Scene| scene.classes.contains(&(label as u8));
        let count = scenes.iter().filter(with).count();
        assert!(count >= 6, "{name}: {count}");
    }
    for (label, name) in PARTS.iter().enumerate() {
        let with = |scene: &&Scene| scene.parts.contains(&(label as u8));
        let count = scenes.iter().filter(with).count();
        assert!(count >= 10, "{name}: {count}");
    }
    // Neither all dark nor all bright, and not one colour.
    for scene in &scenes {
        let bytes = scene.image.as_raw();
        let mean = bytes.iter().map(|byte| f64::from(*byte)).sum::<f64>() / bytes.len() as f64;
        assert!((25.0..235.0).contains(&mean), "{mean}");
    }
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    assert!(SceneConfig::default().validate().is_ok());
    for config in [
        SceneConfig {
            width: 0,
            ..SceneConfig::default()
        },
        SceneConfig {
            samples: 0,
            ..SceneConfig::default()
        },
        SceneConfig {
            noise: f32::NAN,
            ..SceneConfig::default()
        },
    ] {
        assert!(config.validate().is_err());
    }
    assert!(toml::from_str::<SceneConfig>("widht = 3").is_err());
    // Not refused by `render`, but harmless.
    let empty = render(
        &SceneConfig {
            width: 0,
            height: 0,
            ..SceneConfig::default()
        },
        0,
    );
    assert!(empty.classes.is_empty());
}

/// A ball on a plane under a level camera: depth in closed form.
#[test]
fn depth_of_a_ball_and_of_the_ground_is_analytic() {
    let (mut world, _) = layout::compose(&mut Random::new(0, 0), [8, 8]);
    world = World {
        objects: Vec::new(),
        primitives: Vec::new(),
        lights: Vec::new(),
        room: None,
        ..world
    };
    let ball = Shape::Sphere { radius: 1.0 };
    let frame = Frame::at(vec3(0.0, 1.0, -6.0));
    let material = Material::plain(Vec3::ONE);
    world.add(
        Class::Ball,
        true,
        vec![Primitive::new(ball, frame, material)],
    );
    let camera = camera::Camera::new(
        vec3(0.0, 1.0, 0.0),
        vec3(0.0, 1.0, -6.0),
        0.0,
        0.5,
        [33, 33],
    );
    let config = SceneConfig {
        width: 33,
        height: 33,
        ..small()
    };
    let buffers = render::trace(&world, &camera);
    let scene = labels::label(&world, &camera, &buffers, &config, RgbImage::new(33, 33));
    let middle = 16 * 33 + 16;
    assert!((scene.depth[middle] - 5.0).abs() < 1e-4);
    assert_eq!(scene.classes[middle], Class::Ball as u8);
    assert!((scene.normals[middle][2] - 1.0).abs() < 1e-5);
    // The last row looks down by this tangent, from a height of one metre.
    let tangent = (32.5 / 33.0 * 2.0 - 1.0) * 0.5;
    let last = 32 * 33;
    assert!((scene.depth[last] - 1.0 / tangent).abs() < 1e-3);
    assert_eq!(scene.normals[last], [0.0, 1.0, 0.0]);
    assert_eq!(scene.instances.len(), 1);
    assert_eq!(scene.depth[0], 0.0);
}
