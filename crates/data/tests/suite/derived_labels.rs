//! Formats whose labels follow from other labels: from clothes, and from depth.

use std::fs;
use std::path::Path;

use crate::common::{assert_says, config, open, write_image, write_mask, write_mask_16};
use gradway_data::formats::red_kitchen::{Intrinsics, normals_from_depth};
use gradway_data::{DenseLabels, DenseTask, DepthMap, Split, VerticalAxis};

fn write_ccp(root: &Path) {
    for id in ["a", "b"] {
        write_image(&root.join(format!("photos/{id}.jpg")), 6, 4);
        // null, hair, skin, dress, jeans, shoes | bag
        let classes = [0, 19, 41, 14, 25, 39];
        write_mask(&root.join(format!("labels/{id}.png")), 6, 4, |x, y| {
            if y == 3 { 2 } else { classes[x as usize] }
        });
    }
    fs::write(root.join("train.txt"), "b\n").unwrap();
    fs::write(root.join("val.txt"), "a\n").unwrap();
}

#[test]
fn clothing_co_parsing_derives_parts_saliency_and_edges() {
    let folder = tempfile::tempdir().unwrap();
    write_ccp(folder.path());
    let config = config(
        folder.path(),
        "format = \"clothing_co_parsing\"\nroot = \"ROOT\"",
    );
    let dataset = config.open_multi_task(Split::Train, &[]).unwrap();
    let tasks = dataset.tasks().to_vec();
    let sample = dataset.get(0, &tasks).unwrap();
    sample.check().unwrap();
    let map = |task| match &sample.labels[&task] {
        DenseLabels::Classes(map) => map.data.clone(),
        labels => panic!("{labels:?}"),
    };
    assert_eq!(
        map(DenseTask::SemanticSegmentation)[..6],
        [0, 19, 41, 14, 25, 39]
    );
    assert_eq!(map(DenseTask::HumanParts)[..6], [0, 1, 2, 3, 4, 5]);
    assert_eq!(map(DenseTask::HumanParts)[18..], [6; 6]);
    assert_eq!(map(DenseTask::Saliency)[..6], [0, 1, 1, 1, 1, 1]);
    assert_eq!(map(DenseTask::Saliency)[18..], [1; 6]);
    assert_eq!(map(DenseTask::Edges), [1; 24]);
    let parts = dataset.classes(DenseTask::HumanParts);
    assert_eq!((parts.len(), &*parts[6]), (7, "accessories"));
    // For segmentation alone, too.
    let segmentation = open(&config, Split::Val);
    assert_eq!(
        (segmentation.name(), segmentation.classes().len()),
        ("ccp", 59)
    );
    assert_eq!(segmentation.get(0).unwrap().labels.data[..3], [0, 19, 41]);
    fs::write(folder.path().join("classes.txt"), "null\nhair\n").unwrap();
    let error = config.open(Split::Val).err().unwrap();
    assert_says(&error, &["`data.root`", "classes.txt", "59 classes"]);
}

/// A tilted plane seen by a pinhole camera: millimetres, 0 in a hole.
fn plane(x: u32, y: u32) -> u16 {
    if x < 3 && y < 3 {
        return 0;
    }
    let ray = [
        (f64::from(x) - 20.0) / 60.0,
        (f64::from(y) - 15.0) / 60.0,
        1.0,
    ];
    // n . p = 2 with n = (0.6, 0, 0.8), y down and z ahead.
    (2000.0 / (0.6 * ray[0] + 0.8 * ray[2])).round() as u16
}

#[test]
fn red_kitchen_has_depth_in_metres_and_normals_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for frame in 0..10 {
        write_image(&root.join(format!("frame-{frame:06}.color.jpg")), 40, 30);
        let depth = root.join(format!("frame-{frame:06}.depth.png"));
        write_mask_16(&depth, 40, 30, |x, y| match (x, y) {
            (39, 29) => 65535,
            _ => plane(x, y),
        });
    }
    let camera = root.join("camera-intrinsics.txt");
    fs::write(&camera, " 6.0e+01\t 0.0 2.0e+01 \n0 60 15\n0 0 1\n").unwrap();
    let config = config(root, "format = \"red_kitchen\"\nroot = \"ROOT\"");
    let open = |split| config.open_multi_task(split, &[]).unwrap();
    let (train, val) = (open(Split::Train), open(Split::Val));
    assert_eq!((train.len(), train.id(7)), (8, "frame-000007".into()));
    assert_eq!((val.len(), val.id(0)), (2, "frame-000008".into()));
    let tasks = [DenseTask::SurfaceNormals, DenseTask::Depth];
    let sample = val.get(1, &tasks).unwrap();
    sample.check().unwrap();
    let DenseLabels::Depth(depth) = &sample.labels[&DenseTask::Depth] else {
        panic!("no depth");
    };
    assert_eq!((depth.data[0], depth.data[30 * 40 - 1]), (0.0, 0.0));
    assert_eq!(depth.data[15 * 40 + 20], 2.5);
    let DenseLabels::Normals(normals) = &sample.labels[&DenseTask::SurfaceNormals] else {
        panic!("no normals");
    };
    assert_eq!(normals.vertical, VerticalAxis::Up);
    let valid = normals.data.iter().filter(|normal| **normal != [0.0; 3]);
    let valid: Vec<&[f32; 3]> = valid.collect();
    assert!(valid.len() > 40 * 30 * 9 / 10, "{}", valid.len());
    for normal in valid {
        // Towards the camera: z back.
        let close = (normal[0] + 0.6).abs() < 0.01
            && normal[1].abs() < 0.01
            && (normal[2] - 0.8).abs() < 0.01;
        assert!(close, "{normal:?}");
    }
    assert_eq!(normals.data[0], [0.0; 3]);
    // Not for segmentation, and a camera is needed.
    assert_says(
        &config.open(Split::Val).err().unwrap(),
        &["a multi_task dataset"],
    );
    fs::write(&camera, "60 0 20\n0 60 15\n").unwrap();
    let error = config.open_multi_task(Split::Val, &[]).err().unwrap();
    assert_says(&error, &["camera-intrinsics.txt", "fx 0 cx"]);
}

#[test]
fn normals_from_depth_end_where_surfaces_do() {
    // A part of a picture of a usual focal length, whose optical axis is at `center`.
    let normals = |center: [f32; 2], depth: &dyn Fn(f32, f32) -> f32| {
        let focal = 585.0;
        let pixels = (0..30).flat_map(|y| (0..40).map(move |x| (x as f32, y as f32)));
        let ray = |(x, y): (f32, f32)| ((x - center[0]) / focal, (y - center[1]) / focal);
        let map = DepthMap {
            width: 40,
            height: 30,
            data: pixels.map(ray).map(|(x, y)| depth(x, y)).collect(),
        };
        let camera = Intrinsics {
            focal: [focal; 2],
            center,
        };
        normals_from_depth(&map, &camera).data
    };
    let close = |one: [f32; 3], other: [f32; 3]| {
        one.iter()
            .zip(other)
            .all(|(one, other)| (one - other).abs() < 0.01)
    };
    // The floor, a metre below.
    for normal in normals([20.0, -150.0], &|_, y| 1.0 / y) {
        assert!(close(normal, [0.0, 1.0, 0.0]), "{normal:?}");
    }
    // A wall with a step: each side keeps to itself, and the sides are seen up to the step.
    let step = normals([19.5, 15.0], &|x, _| if x < 0.0 { 3.0 } else { 3.6 });
    for normal in step {
        assert!(close(normal, [0.0, 0.0, 1.0]), "{normal:?}");
    }
    // A wall on the left, along the optical axis, faces right.
    for normal in normals([300.0, 15.0], &|x, _| -1.0 / x) {
        assert!(close(normal, [1.0, 0.0, 0.0]), "{normal:?}");
    }
    // Nothing fits to noise.
    let noise = normals([20.0, 15.0], &|x, y| {
        2.0 + 0.1 * (x * 9e4).sin() * (y * 7e4).cos()
    });
    assert!(noise.iter().filter(|normal| **normal == [0.0; 3]).count() > 1000);
}
