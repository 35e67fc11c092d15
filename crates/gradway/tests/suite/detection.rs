//! Detection from a json to a drawn box, from the outside.

use std::fs;

use crate::common::objects::{HEIGHT, WIDTH, configuration, dataset};
use crate::common::{fail, gradway, json_of, succeed, text};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};

#[test]
fn a_detector_is_trained_scored_and_predicted_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    dataset(root, |_| {});
    for head in ["retinanet", "mask_rcnn", "cascade_mask_rcnn"] {
        let config = configuration(root, head);
        let out = root.join(head);
        let arguments = ["train", text(&config), "--out", text(&out), "--json"];
        let result = json_of(&succeed(&arguments));
        assert_eq!(result["steps"], 4, "{head}");
        assert_eq!(result["metric"], "average_precision", "{head}");
        let masks = &result["last"]["masks"];
        assert_eq!(masks.is_null(), head == "retinanet", "{head}");
        // What was proposed, where the stages but the last have moved it, and the loss.
        let reads = match head {
            "retinanet" => 1,
            "mask_rcnn" => 2,
            _ => 4,
        };
        let metrics = fs::read_to_string(out.join("metrics.jsonl")).expect("a log");
        let steps = metrics.lines().map(json_of);
        let steps: Vec<Value> = steps.filter(|line| line["event"] == "step").collect();
        assert_eq!(steps.len(), 4, "{head}");
        assert!(steps.iter().all(|step| step["reads"] == reads), "{steps:?}");

        let scores = json_of(&succeed(&["eval", text(&out), "--last", "--json"]));
        assert_eq!(scores["boxes"], result["last"]["boxes"], "{head}");
        assert_eq!(scores["classes"], json!(["red", "blue"]));
        assert!(succeed(&["eval", text(&out)]).contains("box AP50"));

        let photos = ["0.png", "3.png"].map(|name| root.join("photos").join(name));
        let arguments = ["predict", text(&out), text(&photos[0]), text(&photos[1])];
        let printed = succeed(&arguments);
        let found = out.join("predictions/detections.json");
        assert!(printed.contains(text(&found)), "{printed}");
        let found = json_of(&fs::read_to_string(found).expect("a file"));
        for found in found.as_array().expect("a list") {
            assert!([0, 3].contains(&found["image_id"].as_u64().expect("a number")));
            assert!([7, 9].contains(&found["category_id"].as_u64().expect("a number")));
            let bounds = found["bbox"].as_array().expect("a list").iter();
            let sum: Vec<f64> = bounds
                .map(|side| side.as_f64().expect("a number"))
                .collect();
            assert!(sum[0] + sum[2] <= f64::from(WIDTH), "{sum:?}");
            assert_eq!(found["segmentation"].is_object(), head != "retinanet");
        }
        let overlay = out.join("predictions/3.overlay.png");
        let size = image::image_dimensions(overlay).expect("a picture");
        assert_eq!(size, (WIDTH, HEIGHT));
    }
}

#[test]
fn pascal_voc_is_scored_by_its_own_protocol() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let year = root.join("VOC2007");
    for part in ["JPEGImages", "Annotations", "ImageSets/Main"] {
        fs::create_dir_all(year.join(part)).expect("a folder");
    }
    for image in ["000001", "000002"] {
        let picture = RgbImage::from_pixel(WIDTH, HEIGHT, Rgb([60, 90, 120]));
        let path = year.join(format!("JPEGImages/{image}.jpg"));
        picture.save(path).expect("a picture");
        let object = |name: &str, difficult: u32, side: u32| {
            format!(
                "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>\
                 <xmin>5</xmin><ymin>7</ymin><xmax>{side}</xmax><ymax>{side}</ymax></bndbox></object>"
            )
        };
        let text = format!(
            "<annotation><filename>{image}.jpg</filename><size><width>{WIDTH}</width>\
             <height>{HEIGHT}</height><depth>3</depth></size>{}{}</annotation>",
            object("cat", 0, 40),
            object("dog", 1, 50)
        );
        fs::write(year.join(format!("Annotations/{image}.xml")), text).expect("a file");
    }
    for list in ["trainval", "test"] {
        let path = year.join(format!("ImageSets/Main/{list}.txt"));
        fs::write(path, "000001\n000002\n").expect("a file");
    }
    let config = configuration(root, "retinanet");
    let out = root.join("run");
    let data = format!(
        "data={{ format = \"pascal_voc_detection\", root = \"{}\", train_lists = [\"VOC2007/trainval\"] }}",
        root.display()
    );
    let arguments = ["train", text(&config), "--out", text(&out), "--json"];
    let settings = ["--set", &data, "--set", "evaluation.protocol=pascal_voc"];
    let all: Vec<&str> = arguments.into_iter().chain(settings).collect();
    let result = json_of(&succeed(&all));
    assert_eq!(result["metric"], "mean_ap_11_points");
    let voc = &result["last"]["pascal_voc"];
    // Only cats count: the dogs are difficult.
    let classes = voc["ap_area"].as_array().expect("a list");
    assert_eq!(classes.len(), 20);
    assert_eq!(classes.iter().filter(|score| score.is_number()).count(), 1);
    assert!(voc["mean_ap_area"].is_number());
    assert!(succeed(&["eval", text(&out)]).contains("VOC mAP"));
}

/// What training says of a damaged json.
fn error_of(change: impl FnOnce(&mut Value)) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    dataset(folder.path(), change);
    let config = configuration(folder.path(), "mask_rcnn");
    let out = folder.path().join("run");
    fail(&["train", text(&config), "--out", text(&out)])
}

#[test]
fn what_contradicts_the_file_stops_with_its_number() {
    let error = error_of(|file| file["annotations"][3]["category_id"] = json!(8));
    assert!(
        error.contains("annotation 3") && error.contains('8'),
        "{error}"
    );
    let error = error_of(|file| file["annotations"][5]["image_id"] = json!(77));
    assert!(
        error.contains("annotation 5") && error.contains("77"),
        "{error}"
    );
    let error = error_of(|file| {
        file["annotations"][2]["segmentation"] = json!({ "size": [9, 9], "counts": [81] });
    });
    assert!(
        error.contains("annotation 2") && error.contains('9'),
        "{error}"
    );
    let error = error_of(|file| file["images"][1]["file_name"] = json!("gone.png"));
    assert!(error.contains("gone.png"), "{error}");
    let error = error_of(|file| {
        let annotation = file["annotations"][4].as_object_mut().expect("an object");
        annotation.remove("segmentation");
    });
    assert!(error.contains("annotation 4"), "{error}");
    assert!(error.contains("hint: use `faster_rcnn`"), "{error}");
}

#[test]
fn what_is_skipped_by_custom_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    dataset(root, |file| {
        file["annotations"][0]["bbox"] = json!([200, 200, 10, 10]);
        file["annotations"][3]["segmentation"] = json!([[1, 2, 3, 4]]);
    });
    let config = configuration(root, "faster_rcnn");
    let out = root.join("run");
    let arguments = [
        "train",
        text(&config),
        "--out",
        text(&out),
        "--set",
        "train.epochs=1",
    ];
    let output = gradway(&arguments).output().expect("the binary starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let expected = "skipped in the train split: 1 annotations outside of their image (0); \
                    1 annotations without a polygon of three points (3)";
    assert!(errors.contains(expected), "{errors}");
}

#[test]
fn tasks_are_not_mixed() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    dataset(root, |_| {});
    let config = configuration(root, "retinanet");
    let out = root.join("run");
    let with = |set: &str| fail(&["train", text(&config), "--out", text(&out), "--set", set]);
    let error = with("head.name=segformer");
    assert!(error.contains("unknown field `scales`"), "{error}");
    assert!(!error.contains("task."), "{error}");
    let error = with(r#"data={ format = "synthetic" }"#);
    assert!(
        error.contains("synthetic") && error.contains("detection"),
        "{error}"
    );
    let error = with("loader.batch_size=1");
    assert!(error.contains("is for a total batch of 2"), "{error}");
    assert!(error.contains("optimizer.scaling"), "{error}");
    let error = with("head.name=retinanett");
    assert!(error.contains("did you mean `retinanet`?"), "{error}");
}
