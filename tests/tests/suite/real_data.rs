//! Real photos and real weights. These tests run where `GRADWAY_DATA` names the folder that holds
//! them, and say so where it does not.

#![allow(clippy::print_stdout, reason = "what was measured belongs in the log")]

use std::path::PathBuf;

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};
use gradway::backbone::efficientnet::{Classifier, EfficientNetLiteConfig};
use gradway::backbone::{BackboneConfig, Checkpoint, export, import};
use gradway::data::{DatasetConfig, Normalization, Split, read};
use image::imageops::{self, FilterType};

/// The folder of real data, if there is one.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("GRADWAY_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("not run: GRADWAY_DATA is not set");
    }
    folder
}

/// The whole photo, stretched to 224 x 224: with it PyTorch, too, has 17 of the 20 photos right and
/// all 20 among the first five (cropped in the middle: 18 and 19).
fn stretched(path: &std::path::Path) -> Vec<f32> {
    let image = read::image(path).expect("a photo");
    let image = imageops::resize(&image, 224, 224, FilterType::CatmullRom);
    Normalization::EFFICIENTNET_LITE.apply(&image)
}

#[test]
fn imported_weights_classify_photos() {
    let Some(data) = data() else { return };
    let device = Default::default();
    let weights = data.join("weights/efficientnet_lite0_imagenet1k.safetensors");
    let checkpoint = Checkpoint::open(&weights).expect("weights");
    let classifier = Classifier::<Flex>::new(&EfficientNetLiteConfig::new(), 1000, &device);
    let (classifier, _) = import(classifier, &checkpoint).expect("they fit");

    let mut photos: Vec<PathBuf> = std::fs::read_dir(data.join("imagenet20"))
        .expect("photos")
        .map(|entry| entry.expect("a photo").path())
        .collect();
    photos.sort();
    let mut wrong = Vec::new();
    let mut among_five = 0;
    for photo in &photos {
        // `imagenet_00_243.jpg`: the class is the last number.
        let stem = photo
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a name");
        let class: usize = stem
            .rsplit('_')
            .next()
            .and_then(|text| text.parse().ok())
            .expect("a class");
        let images = TensorData::new(stretched(photo), [1, 3, 224, 224]);
        let logits = classifier
            .forward(Tensor::from_data(images, &device))
            .into_data();
        let logits: Vec<f32> = logits.iter().collect();
        let better = logits
            .iter()
            .filter(|&&logit| logit > logits[class])
            .count();
        if better > 0 {
            wrong.push(stem.to_string());
        }
        among_five += usize::from(better < 5);
    }
    println!(
        "{} of {} photos right, {among_five} among the first five",
        photos.len() - wrong.len(),
        photos.len()
    );
    assert_eq!(photos.len(), 20);
    assert_eq!(among_five, 20);
    // PyTorch with Pillow's decoder has three wrong. The third is a tie, 7.472 to 7.480, which the
    // rounding of another decoder can turn; the other two are not.
    wrong.retain(|photo| photo != "imagenet_14_129");
    assert_eq!(wrong, ["imagenet_03_990", "imagenet_07_609"]);
}

#[test]
fn the_embedded_weights_are_the_published_ones_in_half_precision() {
    let Some(data) = data() else { return };
    let device = Default::default();
    let load = |checkpoint: &Checkpoint| {
        let backbone = BackboneConfig::named("efficientnet_lite0").init::<Flex>(&device);
        let (backbone, _) = import(backbone.expect("known"), checkpoint).expect("they fit");
        export(&backbone)
    };
    let published = data.join("weights/efficientnet_lite0_imagenet1k.safetensors");
    let published = load(&Checkpoint::open(&published).expect("weights"));
    let embedded = load(&Checkpoint::embedded("efficientnet_lite0").expect("embedded"));
    assert_eq!(published.len(), embedded.len());
    for (name, exact) in &published {
        let rounded = embedded[name].iter::<f32>();
        for (exact, rounded) in exact.iter::<f32>().zip(rounded) {
            // Half precision has 11 bits; below 6e-5 its steps are 6e-8 wide.
            let bound = f32::max(exact.abs() / 2048.0, 3.1e-8);
            assert!(
                (exact - rounded).abs() <= bound,
                "{name}: {exact} became {rounded}"
            );
        }
    }
}

#[test]
fn real_datasets_are_read_whole() {
    if data().is_none() {
        return;
    }
    for (text, train, val, classes) in [
        (
            r#"format = "ade20k"
root = "$GRADWAY_DATA/camvid"
classes = "camvid"
labels = { direct = { ignore = 11 } }"#,
            367,
            101,
            11,
        ),
        (
            r#"format = "folder"
root = "$GRADWAY_DATA/ccp"
images = "photos"
masks = "labels"
train_list = "train.txt"
val_list = "val.txt"
classes = "ccp"
labels = { direct = { ignore = 255 } }"#,
            400,
            100,
            59,
        ),
    ] {
        let config: DatasetConfig = toml::from_str(text).expect("a configuration");
        for (split, samples) in [(Split::Train, train), (Split::Val, val)] {
            let report = config.check(split).expect("a dataset");
            assert_eq!(report.samples, samples, "{text}");
            assert_eq!(report.labels.len(), classes, "{text}");
            assert!(report.problems.is_empty(), "{:?}", report.problems);
        }
    }
}
