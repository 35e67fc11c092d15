//! `gradway score`: predictions on disk against the truth on disk.

use std::fs;

use crate::common::{fail, json_of, succeed, text};
use serde_json::Value;

#[test]
fn predictions_on_disk_are_scored() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for (name, labels) in [("gt", [0, 1, 1, 9]), ("pred", [0, 1, 0, 1])] {
        fs::create_dir(path(name)).expect("a folder");
        let map = image::GrayImage::from_vec(2, 2, labels.to_vec()).expect("a map");
        map.save(path(name).join("a.png")).expect("a file");
    }
    let scores = json_of(&succeed(&[
        "score",
        "segmentation",
        "--gt",
        text(&path("gt")),
        "--pred",
        text(&path("pred")),
        "--classes",
        "2",
        "--ignore",
        "9",
        "--json",
    ]));
    // Class 0: one of two; class 1: one of two.
    assert_eq!(scores["iou"], serde_json::json!([0.5, 0.5]));
    assert_eq!(scores["mean_iou"], 0.5);
}

#[test]
fn detections_on_disk_are_scored() {
    let folder = tempfile::tempdir().expect("a folder");
    let [truth, found] = ["gt.json", "dt.json"].map(|name| folder.path().join(name));
    let write_json = |value: Value, path: &std::path::Path| {
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
    let arguments = |more: &[&'static str]| {
        let mut arguments = vec!["score", "detection", "--gt", text(&truth), "--dt"];
        arguments.push(text(&found));
        arguments.extend(more);
        succeed(&arguments)
    };
    // The boxes overlap by 3 quarters: right at 0.5, ..., 0.75; the masks are equal.
    let boxes = json_of(&arguments(&["--json"]));
    assert_eq!(boxes["ap75"].as_f64().map(|ap| ap > 0.999), Some(true));
    let average = boxes["average_precision"].as_f64().expect("a score");
    assert!((average - 0.6).abs() < 1e-9, "{boxes}");
    assert_eq!(boxes["ap_large"], Value::Null);
    assert_eq!(boxes["classes"][1]["average_precision"], Value::Null);
    let masks = arguments(&["--iou", "segm"]);
    assert!(masks.starts_with("score"), "{masks}");
    assert!(masks.contains("average_precision  100.00"), "{masks}");
    assert!(masks.contains("1 objects in 1 images"), "{masks}");

    write_json(detection(Value::Null), &found);
    let arguments = ["score", "detection", "--gt", text(&truth), "--dt"];
    let error = fail(&[&arguments[..], &[text(&found)]].concat());
    assert!(
        error.contains("dt.json: detections[0] (image 7): score is missing"),
        "{error}"
    );
    assert!(error.contains("hint: "), "{error}");
}
