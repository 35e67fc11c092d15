//! Formats of several tasks, against what an independent script drew: `tests/golden/dense_data.py`.

use std::fs;
use std::path::Path;

use crate::common::{assert_says, config, expected, golden, open, write_image, write_mask};
use gradway_data::{DatasetConfig, DenseLabels, DenseTask, Split};

fn format(name: &str) -> DatasetConfig {
    let text = format!("format = \"{name}\"\nroot = \"ROOT\"");
    config(&golden().join(name), &text)
}

/// The labels of one task as numbers.
fn numbers(labels: &DenseLabels) -> Vec<f64> {
    match labels {
        DenseLabels::Classes(map) => map.data.iter().map(|label| f64::from(*label)).collect(),
        DenseLabels::Normals(map) => map.data.iter().flatten().map(|n| f64::from(*n)).collect(),
        DenseLabels::Depth(map) => map.data.iter().map(|depth| f64::from(*depth)).collect(),
    }
}

/// Asserts that both splits hold what the script drew.
fn assert_as_drawn(name: &str, train: &[&str], val: &[&str]) {
    let expected = &expected()[name];
    for (split, ids) in [(Split::Train, train), (Split::Val, val)] {
        let dataset = format(name).open_multi_task(split, &[]).unwrap();
        let listed: Vec<String> = (0..dataset.len()).map(|index| dataset.id(index)).collect();
        assert_eq!(listed, ids);
        let tasks = dataset.tasks().to_vec();
        dataset.require(&tasks).unwrap();
        for index in 0..dataset.len() {
            let sample = dataset.get(index, &tasks).unwrap();
            sample.check().unwrap();
            assert_eq!(sample.image.dimensions(), (20, 14));
            let of_sample = expected[&sample.id].as_object().unwrap();
            assert_eq!(of_sample.len(), tasks.len());
            for (task, values) in of_sample {
                let task: DenseTask = serde_json::from_value(task.as_str().into()).unwrap();
                let found = numbers(&sample.labels[&task]);
                let values: Vec<f64> = serde_json::from_value(values.clone()).unwrap();
                assert_eq!(found.len(), values.len());
                for (place, (found, value)) in found.iter().zip(&values).enumerate() {
                    let close = (found - value).abs() < 1e-4;
                    assert!(close, "{} {task} {place}: {found}, not {value}", sample.id);
                }
            }
            // One task at a time is the same.
            for task in &tasks {
                let alone = dataset.get(index, &[*task]).unwrap();
                assert_eq!(alone.labels[task], sample.labels[task]);
                assert_eq!(alone.labels.len(), 1);
            }
        }
    }
}

#[test]
fn pascal_mt_is_read_as_drawn() {
    let train = ["2008_000003", "2008_000001", "2008_000002"];
    assert_as_drawn("pascal_mt", &train, &["2008_000004"]);
    let dataset = open(&format("pascal_mt"), Split::Train);
    assert_eq!((dataset.name(), dataset.classes().len()), ("pascal_mt", 21));
}

#[test]
fn nyud_mt_is_read_as_drawn() {
    assert_as_drawn("nyud_mt", &["0001", "0002"], &["0003"]);
    let dataset = open(&format("nyud_mt"), Split::Val);
    assert_eq!((dataset.name(), dataset.classes().len()), ("nyud_mt", 40));
    let expected = &expected()["nyud_mt"]["0003"]["semantic_segmentation"];
    let labels = dataset.get(0).unwrap().labels.data;
    assert_eq!(serde_json::to_value(labels).unwrap(), *expected);
}

/// A copy of a golden dataset that may be damaged.
fn copy(name: &str) -> tempfile::TempDir {
    fn walk(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => walk(&entry.path(), &target),
                false => {
                    fs::copy(entry.path(), target).unwrap();
                }
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    walk(&golden().join(name), folder.path());
    folder
}

#[test]
fn only_files_of_tasks_asked_for_are_missed() {
    let folder = copy("pascal_mt");
    let root = folder.path();
    let config = config(root, "format = \"pascal_mt\"\nroot = \"ROOT\"");
    fs::remove_dir_all(root.join("sal_distill")).unwrap();
    fs::remove_file(root.join("human_parts/2008_000002.mat")).unwrap();
    let open = |tasks: &[DenseTask]| config.open_multi_task(Split::Train, tasks);
    let fine = [DenseTask::SemanticSegmentation, DenseTask::Edges];
    let dataset = open(&fine).unwrap();
    dataset.get(2, &fine).unwrap();
    let error = open(&[DenseTask::Edges, DenseTask::Saliency])
        .err()
        .unwrap();
    let parts = [
        "saliency",
        "sal_distill/2008_000003.png",
        "3 of 3",
        "remove the task",
    ];
    assert_says(&error, &parts);
    let error = dataset.get(2, &[DenseTask::HumanParts]).unwrap_err();
    assert_says(&error, &["`2008_000002`, human_parts", "2008_000002.mat"]);
    assert!(dataset.get(1, &[DenseTask::HumanParts]).is_ok());

    // The report counts a task that is not there at all, and complains of one that is there in part.
    let report = config.check(Split::Train).unwrap();
    assert_eq!((report.samples, report.readable), (3, 2));
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].message.contains("2008_000002.mat"));
    let missing: Vec<usize> = report.tasks.iter().map(|task| task.missing).collect();
    assert_eq!(missing, [0, 1, 3, 0, 0]);
    let first = report.tasks[2].first_missing.as_ref().unwrap();
    assert!(first.ends_with("sal_distill/2008_000003.png"));
    // Nobody's parts: one of the two that are left.
    assert_eq!((report.tasks[1].samples, report.tasks[1].empty), (2, 1));
}

#[test]
fn damaged_files_are_named() {
    let folder = copy("pascal_mt");
    let root = folder.path();
    let pascal = config(root, "format = \"pascal_mt\"\nroot = \"ROOT\"");
    let path = root.join("pascal-context/trainval/2008_000003.mat");
    let bytes = fs::read(&path).unwrap();
    let dataset = pascal.open_multi_task(Split::Train, &[]).unwrap();
    let error = |task| dataset.get(0, &[task]).unwrap_err();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    assert_says(
        &error(DenseTask::Edges),
        &["2008_000003.mat", "MATLAB 5", "at byte"],
    );
    fs::copy(root.join("human_parts/2008_000003.mat"), &path).unwrap();
    let parts = ["2008_000003.mat", "no variable `LabelMap` (found: anno)"];
    assert_says(&error(DenseTask::SurfaceNormals), &parts);
    fs::write(&path, &bytes).unwrap();
    write_image(&root.join("normals_distill/2008_000003.png"), 21, 14);
    let parts = ["2008_000003.mat is 20x14", "2008_000003.png is 21x14"];
    assert_says(&error(DenseTask::SurfaceNormals), &parts);

    let folder = copy("nyud_mt");
    let root = folder.path();
    let nyud = config(root, "format = \"nyud_mt\"\nroot = \"ROOT\"");
    let dataset = nyud.open_multi_task(Split::Train, &[]).unwrap();
    let error = |task| dataset.get(0, &[task]).unwrap_err();
    fs::copy(root.join("normals/0001.npy"), root.join("depth/0001.npy")).unwrap();
    assert_says(
        &error(DenseTask::Depth),
        &[
            "`0001`, depth",
            "depth/0001.npy",
            "[14, 20, 3]",
            "[height, width]",
        ],
    );
    fs::copy(root.join("depth/0002.npy"), root.join("edge/0001.npy")).unwrap();
    assert_says(
        &error(DenseTask::Edges),
        &["edge/0001.npy", "expected 0 or 1"],
    );
    write_mask(&root.join("segmentation/0001.png"), 20, 14, |_, _| 41);
    assert_says(
        &error(DenseTask::SemanticSegmentation),
        &["label 41", "40 classes"],
    );
    let error = nyud.open_multi_task(Split::Train, &[DenseTask::Saliency]);
    assert_says(
        &error.err().unwrap(),
        &["`nyud_mt` has no labels of `saliency`"],
    );
}

#[test]
fn matlab_files_of_every_kind_of_array() {
    let expected = &expected()["kinds"];
    for name in ["kinds.plain.mat", "kinds.compressed.mat"] {
        let file = MatFile::read(&golden().join(name)).unwrap();
        for (kind, values) in expected.as_object().unwrap() {
            let value = file.variable(kind).unwrap();
            let numbers = value.numbers().unwrap();
            assert_eq!(numbers.size(), Some([2, 3]), "{kind}");
            let values: Vec<f64> = serde_json::from_value(values.clone()).unwrap();
            assert_eq!(numbers.rows(|value| value).unwrap(), values, "{kind}");
        }
        let truth = file.variable("truth").unwrap();
        let truth: Vec<f64> = truth.numbers().unwrap().iter().collect();
        assert_eq!(truth, [1.0, 0.0]);
        let text = file.variable("text").unwrap();
        assert_eq!(text.text(), Some("words, \u{e4}\u{f6}\u{3b1}"));
        let Value::Cells(cells) = file.variable("cell").unwrap() else {
            panic!("no cells");
        };
        assert_eq!((cells.len(), cells[0].text()), (2, Some("inner")));
        let record = file.variable("struct").unwrap();
        let record = record.structs().unwrap();
        assert_eq!(record.fields, ["first", "second"]);
        assert_eq!(record.get(0, 1).unwrap().text(), Some("two"));
        let cube = file.variable("cube").unwrap();
        assert_eq!(cube.numbers().unwrap().dimensions, [2, 3, 4]);
        assert_eq!(cube.numbers().unwrap().size(), None);
        assert_eq!(file.variable("complex").unwrap().kind(), "complex numbers");
        assert!(file.variable("empty").unwrap().is_empty());
    }
}

#[test]
fn matlab_files_cut_or_damaged_anywhere_do_not_panic() {
    for name in [
        "kinds.compressed.mat",
        "pascal_mt/human_parts/2008_000001.mat",
    ] {
        let bytes = fs::read(golden().join(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mat");
        let exercise = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            if let Ok(file) = MatFile::read(&path) {
                for variable in ["anno", "struct", "uint16", "text"] {
                    let _ = file.variable(variable).map(|value| value.is_empty());
                }
            }
        };
        for length in 0..bytes.len() {
            exercise(&bytes[..length]);
        }
        for place in 120..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << (place % 8);
            exercise(&damaged);
        }
    }
}

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

fn real(name: &str, format: &str) -> Option<[Arc<dyn DenseDataset>; 2]> {
    let root = PathBuf::from(std::env::var_os("GRADWAY_DATA")?).join(name);
    if !root.is_dir() {
        return None;
    }
    let text = format!("format = \"{format}\"\nroot = \"ROOT\"");
    let config = config(&root, &text);
    Some([Split::Train, Split::Val].map(|split| {
        let dataset = config.open_multi_task(split, &[]).unwrap();
        dataset.require(dataset.tasks()).unwrap();
        dataset
    }))
}

/// How many pixels of some samples have each label, and the share with any.
fn histogram(
    dataset: &dyn DenseDataset,
    task: DenseTask,
    step: usize,
) -> (BTreeMap<u8, usize>, f64) {
    let mut counts = BTreeMap::new();
    let (mut labelled, mut total) = (0, 0);
    for index in (0..dataset.len()).step_by(step) {
        let sample = dataset.get(index, &[task]).unwrap();
        sample.check().unwrap();
        let labels = &sample.labels[&task];
        labelled += labels.labelled();
        total += labels.len();
        if let DenseLabels::Classes(map) = labels {
            for label in &map.data {
                *counts.entry(*label).or_default() += 1;
            }
        }
    }
    (counts, labelled as f64 / total as f64)
}

#[test]
fn real_clothes_have_people_with_every_part() {
    let Some([train, val]) = real("ccp", "clothing_co_parsing") else {
        return;
    };
    assert_eq!((train.len(), val.len()), (400, 100));
    let (parts, labelled) = histogram(val.as_ref(), DenseTask::HumanParts, 4);
    assert_eq!(labelled, 1.0);
    assert_eq!(
        parts.keys().copied().collect::<Vec<u8>>(),
        [0, 1, 2, 3, 4, 5, 6]
    );
    let total: usize = parts.values().sum();
    let share = |part: u8| parts[&part] as f64 / total as f64;
    // More clothes than skin, more skin than shoes; and three quarters of the pixels are background.
    assert!(share(3) > share(2) && share(2) > share(5), "{parts:?}");
    assert!((0.65..0.9).contains(&share(0)), "{parts:?}");
    let (saliency, _) = histogram(val.as_ref(), DenseTask::Saliency, 4);
    assert_eq!(saliency[&0], parts[&0]);
    let (edges, _) = histogram(val.as_ref(), DenseTask::Edges, 4);
    let edge_share = edges[&1] as f64 / total as f64;
    assert!((0.005..0.08).contains(&edge_share), "{edges:?}");
    assert!(!edges.contains_key(&IGNORE));
}

#[test]
fn real_frames_have_depth_and_normals_of_a_room() {
    let Some([train, val]) = real("red_kitchen", "red_kitchen") else {
        return;
    };
    assert_eq!((train.len(), val.len()), (100, 25));
    let (_, with_depth) = histogram(val.as_ref(), DenseTask::Depth, 8);
    let (_, with_normals) = histogram(val.as_ref(), DenseTask::SurfaceNormals, 8);
    assert!((0.6..1.0).contains(&with_depth), "{with_depth}");
    assert!(
        with_normals > 0.5 && with_normals < with_depth,
        "{with_normals}"
    );
    let sample = val
        .get(0, &[DenseTask::SurfaceNormals, DenseTask::Depth])
        .unwrap();
    let DenseLabels::Normals(normals) = &sample.labels[&DenseTask::SurfaceNormals] else {
        panic!("no normals");
    };
    let valid = normals.data.iter().filter(|normal| **normal != [0.0; 3]);
    // Surfaces that are seen face the camera.
    let away = valid.clone().filter(|normal| normal[2] < -0.2).count();
    assert!(away * 100 < valid.count(), "{away}");
    let DenseLabels::Depth(depth) = &sample.labels[&DenseTask::Depth] else {
        panic!("no depth");
    };
    let depths = depth.data.iter().copied().filter(|depth| *depth > 0.0);
    let (nearest, farthest) = depths.fold((f32::MAX, 0f32), |(low, high), depth| {
        (low.min(depth), high.max(depth))
    });
    assert!(nearest > 0.3 && farthest < 10.0, "{nearest} to {farthest}");
}
