//! Pictures of any size: a score belongs to the picture, whatever its sides are multiples of, whatever else
//! is in its batch, and whoever asks for it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{run, succeed, text};
use gradway::data::formats::synthetic::SyntheticConfig;
use gradway::data::{DatasetConfig, IGNORE, LabelPolicy, Split, read};
use gradway::metrics::ConfusionMatrix;
use gradway::scenes::CLASSES;
use gradway::trainer::config;
use image::{GrayImage, Rgb, RgbImage, imageops};
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn json_of(output: &str) -> Value {
    serde_json::from_str(output).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

/// Widths and heights of which some are multiples of 32 and others are not; two of them are padded to the
/// same size.
const MIXED: [(u32, u32); 6] = [
    (400, 272),
    (97, 160),
    (390, 260),
    (96, 160),
    (250, 201),
    (33, 65),
];

/// The scenes that models here are trained on, and of which pictures are cut.
fn scenes() -> SyntheticConfig {
    SyntheticConfig {
        width: 400,
        height: 272,
        train_samples: 24,
        val_samples: 6,
        seed: 0,
    }
}

/// Writes the upper left corner of every validation scene, and its classes.
fn write_scenes(root: &Path, sizes: &[(u32, u32)]) {
    let scenes = DatasetConfig::Synthetic(scenes());
    let scenes = scenes.open(Split::Val).expect("scenes");
    for part in ["images", "masks"] {
        fs::create_dir_all(root.join(part)).expect("a folder");
    }
    let mut names = Vec::new();
    for (index, &(width, height)) in (0..scenes.len()).zip(sizes) {
        let scene = scenes.get(index).expect("a scene");
        let size = scene.image.dimensions();
        let classes = GrayImage::from_raw(size.0, size.1, scene.labels.data);
        let classes = classes.expect("a class for every pixel");
        let image = imageops::crop_imm(&scene.image, 0, 0, width, height).to_image();
        let classes = imageops::crop_imm(&classes, 0, 0, width, height).to_image();
        let path = |part: &str| root.join(part).join(format!("{index}.png"));
        image.save(path("images")).expect("a picture");
        classes.save(path("masks")).expect("a mask");
        names.push(index.to_string());
    }
    fs::write(root.join("val.txt"), names.join("\n")).expect("a list");
}

/// Trains on the scenes for a moment; the folder of the run.
fn trained(folder: &Path, more: &str) -> PathBuf {
    let file = folder.join("scenes.toml");
    let SyntheticConfig {
        width,
        height,
        train_samples,
        val_samples,
        ..
    } = scenes();
    let config = format!(
        r#"
backbone = {{ name = "efficientnet_lite0", weights = "embedded" }}
method = {{ name = "fixed" }}
head = {{ name = "segformer", channels = 32 }}
data = {{ format = "synthetic", width = {width}, height = {height}, train_samples = {train_samples}, val_samples = {val_samples} }}
augment = {{ crop_size = [136, 200], scale_range = [0.8, 1.2], photometric = {{ probability = 0.0 }} }}
loader = {{ batch_size = 4 }}
optimizer = {{ learning_rate = 8e-3 }}
{more}
"#
    );
    fs::write(&file, config).expect("a file");
    let out = folder.join("run");
    succeed(&["train", text(&file), "--out", text(&out)]);
    out
}

/// Changes the configuration that a run is scored with.
fn change(run: &Path, overrides: &[String]) {
    let file = run.join("config.toml");
    let changed = config::load(&file, overrides).expect("a configuration");
    let changed = config::to_toml(&changed).expect("TOML");
    fs::write(&file, changed).expect("a file");
}

/// The data of a folder of [`write_scenes`], as an override.
fn data(root: &Path) -> String {
    format!(
        "data={{ format = \"folder\", root = \"{}\", val_list = \"val.txt\", classes = {CLASSES:?}, \
         labels = {{ direct = {{ ignore = 255 }} }} }}",
        root.display()
    )
}

fn batch_size(size: usize) -> String {
    format!("evaluation.batch_size={size}")
}

#[test]
fn the_same_photos_score_alike_at_every_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "train = { epochs = 8, evaluate_every = 0 }");
    let (mut iou, mut accuracy) = (Vec::new(), Vec::new());
    for (width, height) in [(383, 255), (384, 256), (385, 257), (392, 264), (400, 272)] {
        let root = folder.path().join(format!("{width}x{height}"));
        write_scenes(&root, &[(width, height); 6]);
        change(&run, &[data(&root)]);
        let scored = json_of(&succeed(&["eval", text(&run), "--json"]));
        assert_eq!(scored["images"], 6);
        iou.push(100.0 * number(&scored["mean_iou"]));
        accuracy.push(100.0 * number(&scored["pixel_accuracy"]));
    }
    // Six scenes after a moment of training: most classes are not learnt yet, most pixels are.
    let least = |scores: &[f64]| scores.iter().copied().fold(f64::MAX, f64::min);
    let most = |scores: &[f64]| scores.iter().copied().fold(f64::MIN, f64::max);
    assert!(
        least(&accuracy) > 50.0,
        "the model has learnt too little: {accuracy:?}"
    );
    assert!(most(&iou) - least(&iou) < 1.5, "{iou:?}");
    // A row and a column more or less than a multiple of 32 are nearly the same pixels.
    for neighbour in [accuracy[0], accuracy[2]] {
        assert!((neighbour - accuracy[1]).abs() < 0.5, "{accuracy:?}");
    }
}

#[test]
fn a_score_of_segmentation_depends_on_no_batch_and_is_that_of_the_predictions() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "train = { epochs = 2, evaluate_every = 0 }");
    let root = folder.path().join("mixed");
    write_scenes(&root, &MIXED);
    let file = run.join("config.toml");
    let trained_with = fs::read_to_string(&file).expect("a configuration");
    for size in [
        "\"original\"",
        "{ fit = { long = 200, short = 150 } }",
        "{ fixed = { height = 100, width = 140 } }",
    ] {
        // Tables merge key by key: a size of another kind stands beside the last one otherwise.
        fs::write(&file, &trained_with).expect("a configuration");
        let size = format!("evaluation.size={size}");
        let mut scores = Vec::new();
        for batch in [1, 2, 4, 12] {
            change(&run, &[data(&root), batch_size(batch), size.clone()]);
            scores.push(json_of(&succeed(&["eval", text(&run), "--json"])));
        }
        let out = folder.path().join("predictions");
        succeed(&[
            "predict",
            text(&run),
            text(&root.join("images")),
            "--out",
            text(&out),
        ]);
        let classes = CLASSES.len().to_string();
        scores.push(json_of(&succeed(&[
            "score",
            "segmentation",
            "--gt",
            text(&root.join("masks")),
            "--pred",
            text(&out),
            "--classes",
            &classes,
            "--ignore",
            "255",
            "--json",
        ])));
        let first = number(&scores[0]["mean_iou"]);
        // More than chance: there is something to compare.
        assert!(first > 0.05, "{size}: {first}");
        for other in &scores {
            for key in ["mean_iou", "pixel_accuracy", "mean_accuracy"] {
                let difference = number(&other[key]) - number(&scores[0][key]);
                assert!(difference.abs() <= 1e-6, "{size}, {key}: {difference}");
            }
        }
    }
}

#[test]
fn a_score_of_several_tasks_depends_on_no_batch_and_is_that_of_the_predictions() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = r#"
train = { epochs = 1, evaluate_every = 0 }
tasks = { names = ["semantic_segmentation", "saliency", "surface_normals", "depth", "edges"] }
"#;
    let run = trained(folder.path(), tasks);
    let root = folder.path().join("mixed");
    // Scenes have labels of every task; folders do not. Fitted into edges, each is of another size.
    let scenes = |batch: usize| {
        let size = "evaluation.size={ fit = { long = 230, short = 130 } }".to_string();
        change(&run, &[batch_size(batch), size]);
        json_of(&succeed(&["eval", text(&run), "--json"]))["tasks"].clone()
    };
    let first = scenes(1);
    for batch in [2, 4, 12] {
        let other = scenes(batch);
        for (task, key) in [
            ("semantic_segmentation", "mean_iou"),
            ("saliency", "max_jaccard"),
            ("surface_normals", "mean_angular_error"),
            ("depth", "depth_rmse"),
            ("edges", "ods_f"),
        ] {
            let difference = number(&other[task][key]) - number(&first[task][key]);
            assert!(difference.abs() <= 1e-6, "{task}, {batch}: {difference}");
        }
    }
    // What is predicted of pictures is what is scored, at their size.
    write_scenes(&root, &[(400, 272); 6]);
    let out = folder.path().join("predictions");
    let images = root.join("images");
    succeed(&["predict", text(&run), text(&images), "--out", text(&out)]);
    let mut matrix = ConfusionMatrix::new(CLASSES.len());
    for index in 0..6 {
        let bytes = fs::read(out.join(format!("{index}.safetensors"))).expect("tensors");
        let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
        let classes = tensors.tensor("semantic_segmentation").expect("classes");
        assert_eq!(classes.shape(), [1, 272, 400]);
        let (values, _) = classes.data().as_chunks::<4>();
        let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes) as u8);
        let truth = root.join(format!("masks/{index}.png"));
        let policy = LabelPolicy::Direct { ignore: IGNORE };
        let truth = read::labels(&truth, &policy, CLASSES.len()).expect("a mask");
        let predicted: Vec<u8> = values.collect();
        matrix
            .add(&predicted, &truth.data, IGNORE)
            .expect("classes");
    }
    let scored = number(&first["semantic_segmentation"]["mean_iou"]);
    let difference = matrix.scores().mean_iou - scored;
    assert!(difference.abs() <= 1e-6, "{difference}");
}

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
evaluation = {{ scale = [120, 90], limits = {{ score = 0.01 }} }}
train = {{ epochs = 12, evaluate_every = 0 }}

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
        assert!(first > 0.001, "{name} has found nothing: {first}");
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
    write_scenes(&root, &MIXED[3..]);
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
