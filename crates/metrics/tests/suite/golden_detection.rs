//! Scores of detections against pycocotools, and Pascal VOC's against a plain statement of them.

use std::fs;
use std::path::PathBuf;

use gradway_metrics::detection::{
    Category, Detection, Image, Object, RunLengths, Segmentation, voc,
};
use gradway_metrics::{DetectionScores, GroundTruth, IouType};
use serde_json::Value;

/// Both sides compute in float64; hardly anything is left to round.
const TOLERANCE: f64 = 1e-9;

const CASES: [&str; 4] = ["mixed", "small", "ties", "sparse"];

fn golden(case: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
    let path = PathBuf::from(folder).join(format!("detection_scores.{case}.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn close(actual: Option<f64>, expected: Option<f64>) -> bool {
    match (actual, expected) {
        (Some(actual), Some(expected)) => (actual - expected).abs() <= TOLERANCE,
        (actual, expected) => actual == expected,
    }
}

/// pycocotools' -1 is no score.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|&number| number != -1.0)
}

fn assert_scores(scores: &DetectionScores, expected: &Value, what: &str) {
    let stats = expected["stats"].as_array().unwrap();
    for ((metric, actual), expected) in scores.values().iter().zip(stats) {
        let expected = number(expected);
        assert!(
            close(*actual, expected),
            "{what}: {} {actual:?} {expected:?}",
            metric.name
        );
    }
    let classes = expected["classes"].as_object().unwrap();
    assert_eq!(scores.classes.len(), classes.len());
    for class in &scores.classes {
        let expected = number(&classes[&class.category_id.to_string()]);
        let actual = class.average_precision;
        assert!(
            close(actual, expected),
            "{what}: {} {actual:?} {expected:?}",
            class.name
        );
    }
}

/// The detections without one of their keys.
fn without(key: &str, detections: &Value) -> Value {
    let mut detections = detections.clone();
    for detection in detections.as_array_mut().unwrap() {
        detection.as_object_mut().unwrap().remove(key);
    }
    detections
}

#[test]
fn files_score_as_in_pycocotools() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, value: &Value| {
        let path = folder.path().join(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    };
    for case in CASES {
        let golden = golden(case);
        let truth = GroundTruth::read(&file("truth.json", &golden["ground_truth"])).unwrap();
        let detections = &golden["detections"];
        let boxes = file("boxes.json", &without("segmentation", detections));
        let masks = file("masks.json", &without("bbox", detections));
        let both = file("both.json", detections);
        for (name, path, iou) in [
            ("bbox", &boxes, IouType::Bbox),
            ("bbox", &both, IouType::Bbox),
            ("segm", &masks, IouType::Segm),
            ("segm_sized_by_box", &both, IouType::Segm),
            ("bbox_of_masks", &masks, IouType::Bbox),
        ] {
            let scores = truth.score_file(path, iou).unwrap().scores;
            let what = format!("{case} {name} {}", path.display());
            assert_scores(&scores, &golden["expected"][name], &what);
        }
    }
}

fn id(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn four(value: &Value) -> [f64; 4] {
    let numbers: Vec<f64> = serde_json::from_value(value.clone()).unwrap();
    numbers.try_into().unwrap()
}

fn runs(value: &Value) -> RunLengths {
    let [height, width] = [0, 1].map(|side| id(&value["size"][side]) as u32);
    let counts = match &value["counts"] {
        Value::String(text) => {
            hotcoco::mask::rle_from_string(text, height, width)
                .unwrap()
                .counts
        }
        list => serde_json::from_value(list.clone()).unwrap(),
    };
    RunLengths::new(width, height, counts).unwrap()
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(item).collect()
}

fn in_memory(truth: &Value) -> GroundTruth {
    let images = list(&truth["images"], |image| Image {
        id: id(&image["id"]),
        width: id(&image["width"]) as u32,
        height: id(&image["height"]) as u32,
    });
    let categories = list(&truth["categories"], |category| Category {
        id: id(&category["id"]),
        name: category["name"].as_str().unwrap().to_string(),
    });
    let objects = list(&truth["annotations"], |object| {
        let mask = &object["segmentation"];
        Object {
            image_id: id(&object["image_id"]),
            category_id: id(&object["category_id"]),
            bbox: four(&object["bbox"]),
            area: object["area"].as_f64(),
            crowd: object["iscrowd"] == 1,
            segmentation: Some(match mask {
                Value::Array(_) => {
                    Segmentation::Polygons(serde_json::from_value(mask.clone()).unwrap())
                }
                mask => Segmentation::Runs(runs(mask)),
            }),
        }
    });
    GroundTruth::new(&images, &categories, &objects).unwrap()
}

fn detections(value: &Value) -> Vec<Detection> {
    list(value, |detection| Detection {
        image_id: id(&detection["image_id"]),
        category_id: id(&detection["category_id"]),
        bbox: four(&detection["bbox"]),
        score: detection["score"].as_f64().unwrap(),
        segmentation: Some(runs(&detection["segmentation"])),
    })
}

#[test]
fn detections_in_memory_score_as_in_pycocotools() {
    for case in CASES {
        let golden = golden(case);
        let truth = in_memory(&golden["ground_truth"]);
        assert_eq!(
            truth.objects(),
            golden["ground_truth"]["annotations"]
                .as_array()
                .unwrap()
                .len()
        );
        let detections = detections(&golden["detections"]);
        for (name, iou) in [("bbox", IouType::Bbox), ("segm", IouType::Segm)] {
            let scores = truth.score(&detections, iou).unwrap();
            let what = format!("{case} {name}");
            assert_scores(&scores, &golden["expected"][name], &what);
        }
    }
}

#[test]
fn detections_written_to_a_file_are_those_of_the_file() {
    // Masks, boxes and scores come back as they were, in COCO's format.
    let golden = golden("mixed");
    let detections = serde_json::to_value(detections(&golden["detections"])).unwrap();
    assert_eq!(detections, golden["detections"]);
}

#[test]
fn pascal_voc_scores_as_its_kit() {
    let golden = golden("voc");
    let objects = list(&golden["objects"], |object| voc::VocObject {
        image_id: id(&object["image_id"]),
        class: id(&object["class"]) as usize,
        corners: four(&object["corners"]),
        difficult: object["difficult"].as_bool().unwrap(),
    });
    let detections = list(&golden["detections"], |detection| voc::VocDetection {
        image_id: id(&detection["image_id"]),
        class: id(&detection["class"]) as usize,
        corners: four(&detection["corners"]),
        score: detection["score"].as_f64().unwrap(),
    });
    let classes = id(&golden["classes"]) as usize;
    for (name, edges) in [
        ("inclusive", voc::Edges::Inclusive),
        ("points", voc::Edges::Points),
    ] {
        let scores = voc::score(classes, &objects, &detections, edges).unwrap();
        let expected: voc::VocScores =
            serde_json::from_value(golden["expected"][name].clone()).unwrap();
        let pairs = [
            (scores.mean_ap_11_points, expected.mean_ap_11_points),
            (scores.mean_ap_area, expected.mean_ap_area),
        ];
        let points = scores.ap_11_points.into_iter().zip(expected.ap_11_points);
        let areas = scores.ap_area.into_iter().zip(expected.ap_area);
        for (actual, expected) in pairs.into_iter().chain(points).chain(areas) {
            assert!(close(actual, expected), "{name}: {actual:?} {expected:?}");
        }
    }
}
