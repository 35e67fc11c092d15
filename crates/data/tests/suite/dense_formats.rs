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
