//! Predictions of pictures on disk: objects whatever is in their batch, and photos that cannot be read.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{SCENES, fail, json_of, objects, run, succeed, text, tiny_config};
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

/// A run that has seen little.
fn segmenter(root: &Path) -> PathBuf {
    let config = tiny_config(root, &SCENES.replace("epochs = 2", "epochs = 1"));
    let out = root.join("run");
    succeed(&["train", text(&config), "--out", text(&out)]);
    out
}

/// The arguments that predict with a run.
fn predict<'a>(run: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["predict", text(run)], more].concat()
}

#[test]
#[cfg(unix)]
fn nothing_of_a_folder_is_left_out_silently() {
    let folder = tempfile::tempdir().expect("a folder");
    let run_folder = segmenter(folder.path());
    let photos = folder.path().join("photos");
    fs::create_dir_all(photos.join("sub/deep")).expect("a folder");
    let photo = folder.path().join("photo.png");
    RgbImage::new(8, 6).save(&photo).expect("a picture");
    // With its ending, the name of a prediction is longer than a file's name may be.
    let long = "l".repeat(245);
    for name in [
        "a.png",
        "sub/a.png",
        "sub/deep/b.JPE",
        "c.jfif",
        &format!("{long}.png"),
    ] {
        fs::copy(&photo, photos.join(name)).expect("a file");
    }
    fs::write(photos.join("d.heic"), "").expect("a file");
    fs::write(photos.join("sub/e.GIF"), "").expect("a file");
    fs::write(photos.join("notes.txt"), "no photo").expect("a file");
    std::os::unix::fs::symlink("nowhere.png", photos.join("f.png")).expect("a link");
    std::os::unix::fs::symlink(&photos, photos.join("sub/circle")).expect("a link");
    let out = photos.join("out");
    // The predictions of the first time are no photos of the second.
    for _ in 0..2 {
        let output = run(&[
            "predict",
            text(&run_folder),
            text(&photos),
            "--out",
            text(&out),
        ]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        let (heic, gif) = (photos.join("d.heic"), photos.join("sub/e.GIF"));
        for expected in [
            format!(
                "left out: 2 images in a format that is not read: {}, {}; ",
                heic.display(),
                gif.display()
            ),
            format!("not predicted: {}", photos.join("f.png").display()),
            format!("not written: cannot write {}", out.join(&long).display()),
            "error: 1 of 6 photos was not predicted, 1 of 6 photos was not written".to_string(),
        ] {
            assert!(errors.contains(&expected), "{expected}: {errors}");
        }
        for name in ["a", "sub/a", "sub/deep/b", "c"] {
            for ending in ["labels", "overlay"] {
                let file = out.join(format!("{name}.{ending}.png"));
                assert!(file.is_file(), "{}", file.display());
            }
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.lines().count(), 8, "{printed}");
    }
}

#[test]
fn predictions_replace_neither_each_other_nor_files_beside_photos() {
    let folder = tempfile::tempdir().expect("a folder");
    let run_folder = segmenter(folder.path());
    let path = |name: &str| folder.path().join(name);
    for name in ["one", "two"] {
        fs::create_dir(path(name)).expect("a folder");
        let photo = path(name).join("a.png");
        RgbImage::new(8, 6).save(photo).expect("a picture");
    }
    let (one, two, out) = (path("one"), path("two"), path("out"));
    let error = fail(&predict(
        &run_folder,
        &[text(&one), text(&two), "--out", text(&out)],
    ));
    for expected in [one.join("a.png"), two.join("a.png")] {
        assert!(error.contains(text(&expected)), "{error}");
    }
    let foreign = one.join("a.labels.png");
    fs::write(&foreign, "of somebody else").expect("a file");
    let photo = one.join("a.png");
    let error = fail(&predict(&run_folder, &[text(&photo), "--out", text(&one)]));
    let expected = format!(
        "predictions cannot be written to {}, which has the photo {}",
        one.display(),
        photo.display()
    );
    assert!(error.contains(&expected), "{error}");
    assert_eq!(
        fs::read_to_string(&foreign).expect("a file"),
        "of somebody else"
    );
    assert!(!out.exists());
}

#[test]
fn image_ids_are_numbers_places_or_those_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    objects::dataset(root, |_| {});
    let config = objects::configuration(root, "retinanet");
    let run_folder = root.join("run");
    let train = ["train", text(&config), "--out", text(&run_folder)];
    let limits = "evaluation.limits.score=0.0001";
    let settings = ["--set", "train.epochs=1", "--set", limits];
    succeed(&[&train[..], &settings].concat());
    let names = root.join("names");
    fs::create_dir(&names).expect("a folder");
    let copy = |name: &str| {
        fs::copy(root.join("photos/1.png"), names.join(name)).expect("a file");
    };
    copy("1.png");
    copy("001.png");
    let error = fail(&predict(&run_folder, &[text(&names)]));
    assert!(error.contains("both have the image id 1"), "{error}");
    assert!(!run_folder.join("predictions/detections.json").exists());

    // A sign makes no number.
    fs::rename(names.join("001.png"), names.join("+1.png")).expect("renamed");
    let output = run(&predict(&run_folder, &[text(&names)]));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let expected =
        "`+1` is not a number: the `image_id` of a photo is its position, counted from 1;";
    assert!(errors.starts_with(expected), "{errors}");
    let file = run_folder.join("predictions/detections.json");
    let ids = || {
        let found = json_of(&fs::read_to_string(&file).expect("a file"));
        let ids = found.as_array().expect("a list").iter();
        let ids: std::collections::BTreeSet<u64> =
            ids.filter_map(|one| one["image_id"].as_u64()).collect();
        ids
    };
    assert_eq!(ids(), [1, 2].into());

    // A file without one of the categories, as lenient as that of a dataset.
    let list = root.join("list.json");
    let text_of_list = r#"{"images": [{"id": 5.0, "file_name": "names\\1.png"},
        {"id": 6, "file_name": "+1.png"}, {"id": 7, "file_name": "1.png"}],
        "annotations": [{"image_id": 5, "category_id": 7, "bbox": [1, 1, 9, 9], "area": NaN}],
        "categories": [{"id": 7, "name": "red"}]}"#;
    fs::write(&list, format!("\u{feff}{text_of_list}")).expect("a file");
    succeed(&predict(&run_folder, &[text(&names), "--ids", text(&list)]));
    assert_eq!(ids(), [5, 6].into());
    succeed(&[
        "score",
        "detection",
        "--gt",
        text(&list),
        "--dt",
        text(&file),
    ]);
}
