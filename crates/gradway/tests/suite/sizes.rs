//! Pictures of any size: a score belongs to the picture, whatever its sides are multiples of, whatever else
//! is in its batch, and whoever asks for it.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{SCENES, json_of, succeed, text, tiny_config};
use gradway::data::formats::synthetic::SyntheticConfig;
use gradway::data::{DatasetConfig, DenseTask, IGNORE, LabelPolicy, Split, read};
use gradway::metrics::ConfusionMatrix;
use gradway::scenes::CLASSES;
use gradway::trainer::config;
use image::{GrayImage, RgbImage, imageops};
use safetensors::SafeTensors;
use serde_json::Value;

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

/// Widths and heights of which some are multiples of 32 and others are not; two of them are padded to the
/// same size.
pub const MIXED: [(u32, u32); 6] = [
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

/// Pictures with the class of every pixel.
pub type Pictures = Vec<(RgbImage, GrayImage)>;

/// The validation scenes.
pub fn pictures() -> Pictures {
    let scenes = DatasetConfig::Synthetic(scenes());
    let scenes = scenes.open(Split::Val).expect("scenes");
    let task = DenseTask::SemanticSegmentation;
    let picture = |index| {
        let scene = scenes.get(index, &[task]).expect("a scene");
        let classes = scene.class_map(task).expect("classes");
        let classes = GrayImage::from_raw(classes.width, classes.height, classes.data.clone());
        (scene.image, classes.expect("a class for every pixel"))
    };
    (0..scenes.len()).map(picture).collect()
}

/// Writes the upper left corner of every picture, and its classes.
pub fn write(root: &Path, pictures: &Pictures, sizes: &[(u32, u32)]) {
    for part in ["images", "masks"] {
        fs::create_dir_all(root.join(part)).expect("a folder");
    }
    let mut names = Vec::new();
    for (index, ((image, classes), &(width, height))) in pictures.iter().zip(sizes).enumerate() {
        let image = imageops::crop_imm(image, 0, 0, width, height).to_image();
        let classes = imageops::crop_imm(classes, 0, 0, width, height).to_image();
        let path = |part: &str| root.join(part).join(format!("{index}.png"));
        image.save(path("images")).expect("a picture");
        classes.save(path("masks")).expect("a mask");
        names.push(index.to_string());
    }
    fs::write(root.join("val.txt"), names.join("\n")).expect("a list");
}

/// Trains on the scenes for a moment; the folder of the run.
pub fn trained(folder: &Path, more: &str) -> PathBuf {
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
pub fn change(run: &Path, overrides: &[String]) {
    let file = run.join("config.toml");
    let changed = config::load(&file, overrides).expect("a configuration");
    let changed = config::to_toml(&changed).expect("TOML");
    fs::write(&file, changed).expect("a file");
}

/// The data of a folder of [`write`], as an override.
fn data(root: &Path, classes: &[impl Debug]) -> String {
    format!(
        "data={{ format = \"folder\", root = \"{}\", val_list = \"val.txt\", classes = {classes:?}, \
         labels = {{ direct = {{ ignore = 255 }} }} }}",
        root.display()
    )
}

/// Ways to evaluate dense tasks, as overrides.
const EVALUATIONS: [&[&str]; 4] = [
    &[r#"evaluation.size="original""#],
    &["evaluation.size={ fit = { long = 200, short = 150 } }"],
    &["evaluation.size={ fixed = { height = 100, width = 140 } }"],
    &[
        "evaluation.size={ slide = { crop = 100, stride = 67, base_size = [200, 150] } }",
        "evaluation.flip=true",
        "evaluation.scales=[0.75, 1.0, 1.25]",
    ],
];

/// Batch sizes that are compared with 1. A batch of windows or views is of one image, so one size says what three say.
fn batches(evaluation: &str) -> &'static [usize] {
    match ["slide", "flip", "scales"]
        .iter()
        .any(|key| evaluation.contains(key))
    {
        true => &[4],
        false => &[2, 4, 12],
    }
}

pub fn batch_size(size: usize) -> String {
    format!("evaluation.batch_size={size}")
}

/// Cuts pictures to sizes that are multiples of 32 and to others, and asserts that a run scores the pixels
/// that all of them have alike.
fn assert_alike_at_every_size(folder: &Path, run: &Path, mut pictures: Pictures, names: &[String]) {
    const SIZES: [(u32, u32); 5] = [(383, 255), (384, 256), (385, 257), (392, 264), (400, 272)];
    for (_, classes) in &mut pictures {
        for (x, y, class) in classes.enumerate_pixels_mut() {
            if x >= SIZES[0].0 || y >= SIZES[0].1 {
                class.0 = [IGNORE];
            }
        }
    }
    let (mut iou, mut accuracy) = (Vec::new(), Vec::new());
    for (width, height) in SIZES {
        let root = folder.join(format!("{width}x{height}"));
        write(&root, &pictures, &vec![(width, height); pictures.len()]);
        change(run, &[data(&root, names)]);
        let scored = json_of(&succeed(&["eval", text(run), "--json"]));
        assert_eq!(scored["images"], pictures.len());
        iou.push(100.0 * number(&scored["mean_iou"]));
        accuracy.push(100.0 * number(&scored["pixel_accuracy"]));
    }
    // After a moment of training most classes are not learnt yet, most pixels are.
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
fn the_same_scenes_score_alike_at_every_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "train = { epochs = 12, evaluate_every = 0 }");
    let names: Vec<String> = CLASSES.iter().map(|name| name.to_string()).collect();
    assert_alike_at_every_size(folder.path(), &run, pictures(), &names);
}

#[test]
fn the_same_photos_score_alike_at_every_size() {
    photos_score_alike(|_| {
        r#"
backbone = { name = "efficientnet_lite0", weights = "embedded" }
head = { name = "segformer", channels = 32 }
"#
        .to_string()
    });
}

/// Maps of a ViT, of which a neck makes a pyramid with strides of 3.5 to 28.
#[test]
#[ignore = "minutes: it trains beside a ViT-S"]
fn the_same_photos_score_alike_at_every_size_behind_a_neck() {
    photos_score_alike(|root| {
        let weights = root.join("weights/dinov2_small.safetensors");
        format!(
            r#"
backbone = {{ name = "dinov2_small", weights = "{}" }}
head = {{ name = "upernet", channels = 32, auxiliary = {{ channels = 32 }} }}
neck = {{ name = "simple_pyramid", channels = 32 }}
"#,
            weights.display()
        )
    });
}

/// Where `GRADWAY_DATA` names the folder that holds CamVid; `model` is the part of a configuration that describes
/// backbone and head, from that folder.
fn photos_score_alike(model: impl Fn(&Path) -> String) {
    let Some(root) = std::env::var_os("GRADWAY_DATA").map(PathBuf::from) else {
        eprintln!("not run: GRADWAY_DATA is not set");
        return;
    };
    let model = model(&root);
    let root = root.join("camvid");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("camvid.toml");
    let config = format!(
        r#"
{model}
method = {{ name = "fixed" }}
augment = {{ crop_size = [160, 224] }}
loader = {{ batch_size = 4 }}
optimizer = {{ learning_rate = 4e-3 }}
train = {{ epochs = 1, evaluate_every = 0 }}

[data]
format = "ade20k"
root = "{}"
classes = "camvid"
labels = {{ direct = {{ ignore = 11 }} }}
"#,
        root.display()
    );
    fs::write(&file, config).expect("a file");
    let run = folder.path().join("run");
    succeed(&["train", text(&file), "--out", text(&run)]);
    let config = config::load(&run.join("config.toml"), &[]).expect("a configuration");
    let photos = config.data.open(Split::Val).expect("photos");
    let task = DenseTask::SemanticSegmentation;
    let photo = |index| {
        let photo = photos.get(index, &[task]).expect("a photo");
        let classes = photo.class_map(task).expect("classes");
        let classes = GrayImage::from_raw(classes.width, classes.height, classes.data.clone());
        (photo.image, classes.expect("a class for every pixel"))
    };
    let names = photos.classes(task).to_vec();
    let photos = (0..photos.len()).step_by(4).map(photo).collect();
    assert_alike_at_every_size(folder.path(), &run, photos, &names);
}

#[test]
fn a_score_of_segmentation_depends_on_no_batch_and_is_that_of_the_predictions() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "train = { epochs = 2, evaluate_every = 0 }");
    let root = folder.path().join("mixed");
    write(&root, &pictures(), &MIXED);
    change(&run, &[data(&root, CLASSES)]);
    for evaluation in EVALUATIONS {
        let set = evaluation.iter().flat_map(|entry| ["--set", entry]);
        let set: Vec<&str> = set.collect();
        let mut scores = Vec::new();
        for batch in [&[1][..], batches(&evaluation.concat())].concat() {
            let batch = batch_size(batch);
            let eval = ["eval", text(&run), "--json", "--set", &batch];
            scores.push(json_of(&succeed(&[&eval[..], &set].concat())));
        }
        let out = folder.path().join("predictions");
        let (photos, out) = (root.join("images"), text(&out));
        let predict = ["predict", text(&run), text(&photos), "--out", out];
        succeed(&[&predict[..], &set].concat());
        let classes = CLASSES.len().to_string();
        scores.push(json_of(&succeed(&[
            "score",
            "segmentation",
            "--gt",
            text(&root.join("masks")),
            "--pred",
            out,
            "--classes",
            &classes,
            "--ignore",
            "255",
            "--json",
        ])));
        let first = number(&scores[0]["mean_iou"]);
        // More than chance: there is something to compare.
        assert!(first > 0.05, "{evaluation:?}: {first}");
        for other in &scores {
            for key in ["mean_iou", "pixel_accuracy", "mean_accuracy"] {
                let difference = number(&other[key]) - number(&scores[0][key]);
                assert!(
                    difference.abs() <= 1e-6,
                    "{evaluation:?}, {key}: {difference}"
                );
            }
        }
    }
}

/// Writes pictures of mixed sizes in the layout of Clothing Co-Parsing, whose classes are those of the scenes
/// and further ones that do not occur.
fn write_clothes(root: &Path) {
    write(root, &pictures(), &MIXED);
    fs::rename(root.join("images"), root.join("photos")).expect("renamed");
    fs::rename(root.join("masks"), root.join("labels")).expect("renamed");
    fs::copy(root.join("val.txt"), root.join("train.txt")).expect("a list");
}

#[test]
fn a_score_of_several_tasks_depends_on_no_batch_and_is_that_of_the_predictions() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("clothes");
    write_clothes(&root);
    let file = folder.path().join("clothes.toml");
    let config = format!(
        r#"
backbone = {{ name = "efficientnet_lite0", weights = "embedded" }}
method = {{ name = "fixed" }}
head = {{ name = "segformer", channels = 32 }}
tasks = {{ names = ["semantic_segmentation", "human_parts", "saliency", "edges"] }}
data = {{ format = "clothing_co_parsing", root = "{}" }}
augment = {{ crop_size = [96, 96] }}
loader = {{ batch_size = 2 }}
optimizer = {{ learning_rate = 8e-3 }}
train = {{ epochs = 6, evaluate_every = 0 }}
"#,
        root.display()
    );
    fs::write(&file, config).expect("a file");
    let run = folder.path().join("run");
    succeed(&["train", text(&file), "--out", text(&run)]);
    for views in [
        r#"size = "original""#,
        "size = { slide = { crop = [96, 120], stride = [72, 90] } }, flip = true",
    ] {
        let scored = |batch: usize| {
            change(
                &run,
                &[format!("evaluation={{ batch_size = {batch}, {views} }}")],
            );
            json_of(&succeed(&["eval", text(&run), "--json"]))["tasks"].clone()
        };
        let first = scored(1);
        for &batch in batches(views) {
            let other = scored(batch);
            for (task, key) in [
                ("semantic_segmentation", "mean_iou"),
                ("semantic_segmentation", "pixel_accuracy"),
                ("human_parts", "mean_iou"),
                ("saliency", "max_jaccard"),
                ("edges", "ods_f"),
            ] {
                let difference = number(&other[task][key]) - number(&first[task][key]);
                assert!(difference.abs() <= 1e-6, "{task}, {batch}: {difference}");
            }
        }
        // What is predicted of pictures is what is scored, at their size.
        let out = folder.path().join("predictions");
        let photos = root.join("photos");
        succeed(&["predict", text(&run), text(&photos), "--out", text(&out)]);
        let classes = first["semantic_segmentation"]["iou"].as_array();
        let classes = classes.expect("a score of every class").len();
        let mut matrix = ConfusionMatrix::new(classes);
        for (index, (width, height)) in MIXED.into_iter().enumerate() {
            let bytes = fs::read(out.join(format!("{index}.safetensors"))).expect("tensors");
            let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
            let predicted = tensors.tensor("semantic_segmentation").expect("classes");
            assert_eq!(predicted.shape(), [1, height as usize, width as usize]);
            let (values, _) = predicted.data().as_chunks::<4>();
            let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes) as u8);
            let predicted: Vec<u8> = values.collect();
            let truth = root.join(format!("labels/{index}.png"));
            let policy = LabelPolicy::Direct { ignore: IGNORE };
            let truth = read::labels(&truth, &policy, classes).expect("a mask");
            let added = matrix.add(&predicted, &truth.data, IGNORE);
            added.expect("classes");
        }
        let scores = matrix.scores();
        for (key, value) in [
            ("mean_iou", scores.mean_iou),
            ("pixel_accuracy", scores.pixel_accuracy),
        ] {
            let difference = value - number(&first["semantic_segmentation"][key]);
            assert!(difference.abs() <= 1e-6, "{views}, {key}: {difference}");
        }
    }
}

/// What a run is scored with while it trains is what `eval` scores it with.
#[test]
fn a_run_and_its_evaluation_score_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    for (index, views) in [
        "size = { slide = { crop = 32, stride = 21 } }",
        "size = { slide = { crop = 32, stride = 32 } }, flip = true, scales = [1.0, 1.5]",
    ]
    .into_iter()
    .enumerate()
    {
        let evaluation = format!("{SCENES}\nevaluation = {{ batch_size = 2, {views} }}");
        let file = tiny_config(folder.path(), &evaluation);
        let run = folder.path().join(index.to_string());
        let trained = succeed(&["train", text(&file), "--out", text(&run), "--json"]);
        let trained = json_of(&trained)["last"].clone();
        let eval = |set: &[&str]| {
            let eval = ["eval", text(&run), "--last", "--json"];
            json_of(&succeed(&[&eval[..], set].concat()))
        };
        let scored = eval(&[]);
        assert!(scored.get("set").is_none());
        let whole = eval(&["--set", r#"evaluation={ size = "original" }"#]);
        assert_eq!(whole["set"][0], r#"evaluation={ size = "original" }"#);
        for key in ["mean_iou", "pixel_accuracy", "mean_accuracy"] {
            assert_eq!(scored[key], trained[key], "{views}, {key}");
        }
        // It is another evaluation than the usual one.
        assert_ne!(scored["iou"], whole["iou"], "{views}");
    }
}
