//! `gradway score`: predictions on disk against the truth on disk.

use std::fs;
use std::path::Path;

use crate::common::{fail, json_of, run, succeed, text, tiny_config};
use crate::sizes::change;
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;

/// `gradway score segmentation` of two folders, and more arguments.
fn masks<'a>(gt: &'a Path, pred: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let command = ["score", "segmentation"];
    let files = ["--gt", text(gt), "--pred", text(pred)];
    [&command[..], &files, more].concat()
}

/// `gradway score detection` of two files, and more arguments.
fn detections<'a>(gt: &'a Path, dt: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let command = ["score", "detection"];
    let files = ["--gt", text(gt), "--dt", text(dt)];
    [&command[..], &files, more].concat()
}

#[test]
fn predictions_without_a_mask_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for folder in ["gt", "pred"] {
        fs::create_dir(path(folder)).expect("a folder");
    }
    // 255 is ignored unless another value is given.
    for (name, labels) in [
        ("gt/a.png", [0, 1, 1, 255]),
        ("pred/a.labels.png", [0, 1, 0, 1]),
        ("pred/b.labels.png", [0, 0, 0, 0]),
        // A picture of the prediction, not a label map.
        ("pred/b.png", [200, 200, 200, 200]),
    ] {
        let map = GrayImage::from_vec(2, 2, labels.to_vec()).expect("a map");
        map.save(path(name)).expect("a file");
    }
    let [gt, pred] = ["gt", "pred"].map(path);
    let output = run(&masks(&gt, &pred, &["--classes", "2", "--json"]));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("predictions without a mask, which are not scored: 1 of 2"),
        "{errors}"
    );
    let scores: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(scores["iou"], serde_json::json!([0.5, 0.5]));
}

#[test]
fn predictions_on_disk_are_scored() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for (name, labels) in [("gt", [0, 1, 1, 9]), ("pred", [0, 1, 0, 1])] {
        fs::create_dir(path(name)).expect("a folder");
        let map = GrayImage::from_vec(2, 2, labels.to_vec()).expect("a map");
        map.save(path(name).join("a.png")).expect("a file");
    }
    let [gt, pred] = ["gt", "pred"].map(path);
    let more = ["--classes", "2", "--ignore", "9", "--json"];
    let scores = json_of(&succeed(&masks(&gt, &pred, &more)));
    // Class 0: one of two; class 1: one of two.
    assert_eq!(scores["iou"], serde_json::json!([0.5, 0.5]));
    assert_eq!(scores["mean_iou"], 0.5);
}

#[test]
fn detections_on_disk_are_scored() {
    let folder = tempfile::tempdir().expect("a folder");
    let [truth, found] = ["gt.json", "dt.json"].map(|name| folder.path().join(name));
    let write_json = |value: Value, path: &Path| {
        fs::write(path, value.to_string()).expect("a file");
    };
    let square = serde_json::json!([[4, 4, 24, 4, 24, 24, 4, 24]]);
    write_json(
        serde_json::json!({
            "images": [{"id": 7, "width": 40, "height": 30}],
            "categories": [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}],
            "annotations": [{
                "id": 1, "image_id": 7, "category_id": 3, "iscrowd": 0,
                "area": 400, "bbox": [4, 4, 20, 20], "segmentation": square
            }]
        }),
        &truth,
    );
    let detection = |score: Value| {
        serde_json::json!([{
            "image_id": 7, "category_id": 3, "score": score,
            "bbox": [4, 4, 20, 15], "segmentation": square
        }])
    };
    write_json(detection(0.5.into()), &found);
    let score = |more: &[&str]| succeed(&detections(&truth, &found, more));
    // The boxes overlap by 3 quarters: right at 0.5, ..., 0.75; the masks are equal.
    let boxes = json_of(&score(&["--json"]));
    assert_eq!(boxes["ap75"].as_f64().map(|ap| ap > 0.999), Some(true));
    let average = boxes["average_precision"].as_f64().expect("a score");
    assert!((average - 0.6).abs() < 1e-9, "{boxes}");
    assert_eq!(boxes["ap_large"], Value::Null);
    assert_eq!(boxes["classes"][1]["average_precision"], Value::Null);
    let of_masks = score(&["--iou", "segm"]);
    assert!(of_masks.starts_with("score"), "{of_masks}");
    assert!(of_masks.contains("average_precision  100.00"), "{of_masks}");
    assert!(of_masks.contains("1 object in 1 image"), "{of_masks}");

    // pycocotools looks only at the categories of the truth.
    let mut several = detection(0.5.into());
    let mut unknown = several[0].clone();
    unknown["category_id"] = 4.into();
    several.as_array_mut().expect("a list").push(unknown);
    write_json(several, &found);
    let output = run(&detections(&truth, &found, &["--json"]));
    let errors = String::from_utf8_lossy(&output.stderr);
    let expected = "1 detection of categories that ";
    assert!(errors.starts_with(expected), "{errors}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(json_of(&printed), boxes, "{errors}");

    write_json(detection(Value::Null), &found);
    let error = fail(&detections(&truth, &found, &[]));
    assert!(
        error.contains("dt.json: detections[0] (image 7): score is missing"),
        "{error}"
    );
    assert!(error.contains("hint: "), "{error}");
}

#[test]
fn a_class_that_no_mask_has_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for (name, labels) in [("gt", [0, 0, 0, 255]), ("pred", [0, 0, 0, 0])] {
        fs::create_dir(path(name)).expect("a folder");
        let map = GrayImage::from_vec(2, 2, labels.to_vec()).expect("a map");
        map.save(path(name).join("a.png")).expect("a file");
    }
    let [gt, pred] = ["gt", "pred"].map(path);
    let score = |classes: &str, ignore: &str| {
        let more = ["--classes", classes, "--ignore", ignore];
        let output = run(&masks(&gt, &pred, &more));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = score("2", "255");
    for expected in [
        "warning: in the labels of ",
        "gt, 1 of 2 classes never occurs: 1; ",
        "  hint: 25.00 % of the pixels are ignored; --classes 2 --ignore 255 reads 0 to 1 as classes",
        "--run DIR",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(score("1", "255"), "");
    // What the command does not have is not advised.
    let refused = score("2", "9");
    assert!(refused.contains("label 255 at pixel"), "{refused}");
    assert!(
        refused.contains("hint: --classes 2 --ignore 9 reads"),
        "{refused}"
    );
    assert!(!refused.contains("direct = {"), "{refused}");
}

#[test]
fn a_run_says_how_its_masks_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let colors = |class: u8| match class {
        0 => Rgb([0, 0, 0]),
        1 => Rgb([250, 10, 10]),
        _ => Rgb([9, 9, 9]),
    };
    for part in ["images", "values", "colors", "zero"] {
        fs::create_dir(root.join(part)).expect("a folder");
    }
    for index in 0..2u32 {
        // The last class is ignored.
        let class = |x: u32, y: u32| u8::from(x > 12 + index) + u8::from(y > 30);
        let write = |part: &str, value: &dyn Fn(u8) -> u8| {
            let mask = GrayImage::from_fn(40, 36, |x, y| Luma([value(class(x, y))]));
            let name = format!("{part}/{index}_mask.png");
            mask.save(root.join(name)).expect("a mask");
        };
        write("values", &|class| [0, 200, 128][usize::from(class)]);
        write("zero", &|class| [1, 2, 0][usize::from(class)]);
        let picture = RgbImage::from_fn(40, 36, |x, y| colors(class(x, y)));
        let name = |part: &str, suffix: &str| root.join(format!("{part}/{index}{suffix}.png"));
        picture.save(name("colors", "_mask")).expect("a mask");
        picture.save(name("images", "")).expect("a picture");
    }
    // A preview is the mask of no image.
    let preview = GrayImage::from_pixel(40, 36, Luma([77]));
    preview.save(root.join("values/0.png")).expect("a picture");
    fs::write(root.join("all.txt"), "0\n1\n").expect("a list");
    let more = format!(
        r#"
method = {{ name = "fixed" }}
train = {{ epochs = 1 }}
[data]
format = "folder"
root = "{}"
masks = "values"
mask_suffix = "_mask"
train_list = "all.txt"
val_list = "all.txt"
classes = ["ground", "thing"]
labels = {{ values = {{ 0 = "ground", 200 = "thing" }}, ignore = [128] }}
"#,
        root.display()
    );
    let config = tiny_config(root, &more);
    let run_folder = root.join("run");
    succeed(&["train", text(&config), "--out", text(&run_folder)]);
    succeed(&["predict", text(&run_folder), text(&root.join("images"))]);
    let predicted = run_folder.join("predictions");
    for (folder, labels) in [
        ("values", None),
        ("zero", Some("\"reduce_zero\"")),
        (
            "colors",
            Some("{ colors = { ground = [0, 0, 0], thing = [250, 10, 10] }, ignore = [9, 9, 9] }"),
        ),
    ] {
        let mut changes = vec![format!("data.masks={folder}")];
        changes.extend(labels.map(|labels| format!("data.labels={labels}")));
        change(&run_folder, &changes);
        let evaluated = json_of(&succeed(&["eval", text(&run_folder), "--json"]));
        let gt = root.join(folder);
        let of_run = ["--run", text(&run_folder)];
        let score = |more: &[&str]| {
            let more = [&of_run[..], more].concat();
            succeed(&masks(&gt, &predicted, &more))
        };
        let scored = json_of(&score(&["--json"]));
        for key in ["mean_iou", "pixel_accuracy", "iou"] {
            assert_eq!(scored[key], evaluated[key], "{folder}, {key}");
        }
        assert!(score(&[]).contains("\nthing "), "{folder}");
    }
}
