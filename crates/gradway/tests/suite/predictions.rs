//! Predictions of pictures on disk: objects whatever is in their batch, and photos that cannot be read.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{json_of, run, succeed, text};
use crate::sizes::{MIXED, batch_size, change, number, pictures, trained, write};
use image::{Rgb, RgbImage};
use serde_json::json;

/// Bright squares on grey in pictures of mixed sizes, in COCO's layout; the json's order of images and their
/// numbers are not those of the files' names.
fn write_squares(root: &Path) {
    let photos = root.join("photos");
    fs::create_dir_all(&photos).expect("a folder");
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (index, (width, height)) in [
        (120, 90),
        (90, 120),
        (97, 65),
        (64, 96),
        (110, 70),
        (96, 64),
    ]
    .into_iter()
    .enumerate()
    {
        let mut picture = RgbImage::from_pixel(width, height, Rgb([90; 3]));
        let id = 70 - 10 * index as u32;
        for (number, side) in [20, 32].into_iter().enumerate() {
            let (x, y) = (2 + 26 * number as u32, 6 + 8 * number as u32 + index as u32);
            let color = [[250, 40, 40], [40, 80, 250]][number];
            for (column, row) in (x..x + side).flat_map(|x| (y..y + side).map(move |y| (x, y))) {
                picture.put_pixel(column, row, Rgb(color));
            }
            let [right, bottom] = [x + side, y + side];
            annotations.push(json!({
                "id": 10 * index + number, "image_id": id, "category_id": 3 + 4 * number,
                "iscrowd": 0, "bbox": [x, y, side, side], "area": side * side,
                "segmentation": [[x, y, right, y, right, bottom, x, bottom]],
            }));
        }
        let name = format!("photo-{index}.png");
        picture.save(photos.join(&name)).expect("a picture");
        images.insert(
            0,
            json!({ "id": id, "file_name": name, "width": width, "height": height }),
        );
    }
    let categories = json!([{ "id": 3, "name": "red" }, { "id": 7, "name": "blue" }]);
    let file = json!({ "images": images, "annotations": annotations, "categories": categories });
    fs::write(root.join("objects.json"), file.to_string()).expect("a file");
}

fn write_detector(root: &Path, head: &str) -> PathBuf {
    let path = root.join("objects.toml");
    let config = format!(
        r#"
backbone = {{ name = "efficientnet_lite0", weights = "embedded" }}
method = {{ name = "fixed" }}
head = {head}
loader = {{ batch_size = 3 }}
optimizer = {{ learning_rate = 2e-3 }}
augment = {{ scales = [[120, 90]], flip_probability = 0.0 }}
evaluation = {{ scale = [120, 90], limits = {{ score = 0.001 }} }}
train = {{ epochs = 20, evaluate_every = 0 }}

[data]
format = "coco"
root = "{}"
train_images = "photos"
val_images = "photos"
train_annotations = "objects.json"
val_annotations = "objects.json"
"#,
        root.display()
    );
    fs::write(&path, config).expect("a file");
    path
}

#[test]
fn a_score_of_objects_depends_on_no_batch_and_is_that_of_the_predictions() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write_squares(root);
    for (name, head) in [
        (
            "retinanet",
            r#"{ name = "retinanet", channels = 32, convolutions = 1 }"#,
        ),
        (
            "mask_rcnn",
            r#"{ name = "mask_rcnn", channels = 32, width = 64 }"#,
        ),
    ] {
        let config = write_detector(root, head);
        let run = root.join(name);
        succeed(&["train", text(&config), "--out", text(&run)]);
        let mut scores = Vec::new();
        for batch in [1, 2, 4, 12] {
            change(&run, &[batch_size(batch)]);
            let scored = json_of(&succeed(&["eval", text(&run), "--json"]));
            scores.push(scored["boxes"].clone());
        }
        let ids = root.join("objects.json");
        let photos = root.join("photos");
        let paths = [text(&run), text(&photos), "--ids", text(&ids)];
        succeed(&[&["predict"], &paths[..]].concat());
        let found = run.join("predictions/detections.json");
        let files = ["--gt", text(&ids), "--dt", text(&found), "--json"];
        scores.push(json_of(&succeed(
            &[&["score", "detection"], &files[..]].concat(),
        )));
        let first = number(&scores[0]["average_precision"]);
        assert!(first > 0.0, "{name} has found nothing");
        for other in &scores {
            for key in ["average_precision", "ap50", "ap75"] {
                let difference = number(&other[key]) - number(&scores[0][key]);
                assert!(difference.abs() <= 1e-6, "{name}, {key}: {difference}");
            }
        }
    }
}

#[test]
fn a_damaged_photo_does_not_stop_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let run_folder = trained(folder.path(), "train = { epochs = 1, evaluate_every = 0 }");
    let root = folder.path().join("mixed");
    write(&root, &pictures(), &MIXED[3..]);
    let images = root.join("images");
    let damaged = images.join("1.png");
    let bytes = fs::read(&damaged).expect("a picture");
    fs::write(&damaged, &bytes[..bytes.len() / 2]).expect("a file");
    fs::write(images.join("notes.txt"), "no photo").expect("a file");
    let out = folder.path().join("out");
    let missing = folder.path().join("missing.jpg");
    let output = run(&[
        "predict",
        text(&run_folder),
        text(&images),
        text(&missing),
        "--out",
        text(&out),
    ]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for expected in [
        format!("not predicted: {}", damaged.display()),
        format!("not predicted: {}", missing.display()),
        "error: 2 of 4 photos were not predicted".to_string(),
    ] {
        assert!(errors.contains(&expected), "{expected}: {errors}");
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.lines().count(), 4, "{printed}");
    for (name, size) in [("0", MIXED[3]), ("2", MIXED[5])] {
        let labels = out.join(format!("{name}.labels.png"));
        assert_eq!(image::image_dimensions(labels).expect("a map"), size);
    }
    // What was written is what is named, and nothing else.
    let written = fs::read_dir(&out).expect("a folder").count();
    assert_eq!(written, 4);
}
