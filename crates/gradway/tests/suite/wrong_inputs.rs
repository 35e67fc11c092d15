//! Wrong inputs: one clear error each, status 1, nothing lost.

use std::fs;
use std::path::Path;

use crate::common::{SCENES, fail, succeed, text, tiny_config};
use image::{GrayImage, Luma, Rgb, RgbImage};

/// A dataset in the ADE20K layout with two images per split, which a test then damages.
fn dataset(root: &Path) {
    for split in ["training", "validation"] {
        let (images, masks) = (
            root.join("images").join(split),
            root.join("annotations").join(split),
        );
        fs::create_dir_all(&images).expect("a folder");
        fs::create_dir_all(&masks).expect("a folder");
        for name in ["first", "second"] {
            RgbImage::from_fn(40, 36, |x, y| Rgb([x as u8 * 6, y as u8 * 7, 80]))
                .save(images.join(format!("{name}.jpg")))
                .expect("a picture");
            GrayImage::from_fn(40, 36, |x, _| Luma([(x / 20) as u8]))
                .save(masks.join(format!("{name}.png")))
                .expect("a mask");
        }
    }
}

/// The error of training on a dataset that `damage` has changed.
fn error_of(damage: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("set");
    dataset(&root);
    damage(&root);
    let more = format!(
        r#"
method = {{ name = "fixed" }}
train = {{ epochs = 1 }}
[data]
format = "ade20k"
root = "{}"
classes = ["left", "right"]
labels = {{ direct = {{ ignore = 255 }} }}
"#,
        root.display()
    );
    let config = tiny_config(folder.path(), &more);
    let out = folder.path().join("run");
    fail(&["train", text(&config), "--out", text(&out)])
}

#[test]
fn a_sound_dataset_trains() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("set");
    dataset(&root);
    let printed = succeed(&[
        "data",
        "check",
        text(&root),
        "--format",
        "ade20k",
        "--set",
        "data.classes=[\"left\", \"right\"]",
        "--set",
        "data.labels={ direct = { ignore = 255 } }",
    ]);
    assert!(printed.contains("2 readable"), "{printed}");
}

#[test]
fn a_missing_dataset_folder_is_named() {
    let error = error_of(|root| fs::remove_dir_all(root).expect("removed"));
    assert!(error.contains("set does not exist"), "{error}");
    assert!(error.contains("expected layout"), "{error}");
}

#[test]
fn an_image_without_a_mask_is_named() {
    let error = error_of(|root| {
        fs::remove_file(root.join("annotations/training/second.png")).expect("removed");
    });
    assert!(error.contains("second.jpg has no mask"), "{error}");
    assert!(error.contains("1 of 2"), "{error}");
}

#[test]
fn a_mask_of_another_size_is_named_with_both_sizes() {
    let error = error_of(|root| {
        let mask = GrayImage::new(39, 36);
        mask.save(root.join("annotations/training/first.png"))
            .expect("saved");
    });
    assert!(error.contains("first.png"), "{error}");
    assert!(
        error.contains("39x36") && error.contains("40x36"),
        "{error}"
    );
}

#[test]
fn a_label_out_of_range_is_named_with_its_place() {
    let error = error_of(|root| {
        let mut mask = GrayImage::new(40, 36);
        mask.put_pixel(5, 3, Luma([7]));
        mask.save(root.join("annotations/training/first.png"))
            .expect("saved");
    });
    assert!(
        error.contains("first.png") && error.contains('7'),
        "{error}"
    );
}

#[test]
fn a_truncated_jpeg_is_named() {
    let error = error_of(|root| {
        let path = root.join("images/training/first.jpg");
        let bytes = fs::read(&path).expect("read");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    });
    assert!(error.contains("first.jpg"), "{error}");
}

#[test]
fn an_empty_split_is_named() {
    let error = error_of(|root| {
        for name in ["images", "annotations"] {
            let split = root.join(name).join("validation");
            fs::remove_dir_all(&split).expect("removed");
            fs::create_dir(&split).expect("a folder");
        }
    });
    assert!(error.contains("validation"), "{error}");
}

#[test]
fn an_unknown_key_is_named_with_the_known_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let error = fail(&["train", text(&config), "--set", "optimizer.learning_rat=1"]);
    assert!(error.contains("learning_rat"), "{error}");
    assert!(error.contains("`learning_rate`"), "{error}");
}

#[test]
fn class_weights_of_another_number_of_classes_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    let weights = "loss.class_weights=[1, 2]";
    let error = fail(&[
        "train",
        text(&config),
        "--out",
        text(&out),
        "--set",
        weights,
    ]);
    assert!(
        error.contains("loss.class_weights has 2 weights"),
        "{error}"
    );
}

#[test]
fn an_unknown_method_is_named_with_the_nearest() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let error = fail(&["train", text(&config), "--set", "method.name=e3av"]);
    assert!(
        error.contains("unknown method `e3av`; did you mean `e3va`?"),
        "{error}"
    );
}

#[test]
fn an_unknown_backbone_is_named_with_the_nearest() {
    let error = fail(&["params", "--backbone", "swin_bas", "--method", "e3va"]);
    assert!(
        error.contains("unknown backbone `swin_bas`; did you mean `swin_base`?"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_of_another_backbone_is_refused_with_both_hashes() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    succeed(&[
        "train",
        text(&config),
        "--out",
        text(&out),
        "--set",
        "train.epochs=1",
    ]);
    let saved = out.join("config.toml");
    let changed = fs::read_to_string(&saved)
        .expect("read")
        .replace("swin_mini", "swin_tiny");
    fs::write(&saved, changed).expect("written");
    let error = fail(&["eval", text(&out)]);
    assert!(error.contains("trained on `swin_mini`"), "{error}");
    assert!(error.contains("hint: set backbone.name"), "{error}");
}

#[test]
fn weights_of_another_backbone_are_refused_with_its_name() {
    let weights = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../backbone/weights/efficientnet_lite0.safetensors"
    );
    let error = fail(&["weights", "inspect", weights, "--backbone", "swin_mini"]);
    assert!(error.contains("does not fit this backbone"), "{error}");
    let expected = "it looks like `efficientnet_lite0`; set backbone.name = \"efficientnet_lite0\"";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_run_that_is_no_run_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = fail(&["eval", text(folder.path())]);
    assert!(error.contains("not a run directory"), "{error}");
}

#[test]
fn features_of_a_wrong_array_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("x.npy");
    fs::write(&input, b"not an array").expect("written");
    let output = folder.path().join("y.safetensors");
    let error = fail(&[
        "features",
        "--backbone",
        "swin_mini",
        "--input",
        text(&input),
        "--output",
        text(&output),
    ]);
    assert!(error.contains("x.npy"), "{error}");
    assert!(!output.exists());
}

#[test]
fn a_trained_run_is_set_for_its_use_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let run = folder.path().join("run");
    succeed(&["train", text(&config), "--out", text(&run)]);
    let photo = folder.path().join("photo.png");
    RgbImage::from_pixel(40, 36, Rgb([90, 120, 30]))
        .save(&photo)
        .expect("a picture");
    let belongs = |key: &str, value: &str, run: &str| {
        format!(
            "--set {key}={value}: {key} = {value} belongs to training, and the run is trained ({key} is {run} there); \
             keys of `evaluation` and `data` can be set"
        )
    };
    for (entry, expected) in [
        (
            "optimizer.learning_rate=0.5",
            belongs("optimizer.learning_rate", "0.5", "0.001"),
        ),
        ("train.epochs=9", belongs("train.epochs", "9", "2")),
        ("loader.batch_size=1", belongs("loader.batch_size", "1", "2")),
        ("method.rank=4", belongs("method.rank", "4", "16")),
        (
            "evaluation.scales=[]",
            "--set evaluation.scales=[]: `evaluation.scales` = []: expected a list of one or more factors".to_string(),
        ),
        (
            "evaluation.size={ slide = { crop = 32, stride = 40 } }",
            "`evaluation.size.slide.stride` = [40, 40]: expected at most `crop`, [32, 32]".to_string(),
        ),
    ] {
        for command in [
            vec!["eval", text(&run), "--set", entry],
            vec!["predict", text(&run), text(&photo), "--set", entry],
        ] {
            let error = fail(&command);
            assert!(error.contains(&expected), "{command:?}: {error}");
        }
    }
    assert!(!run.join("predictions").exists(), "nothing is begun");
}
