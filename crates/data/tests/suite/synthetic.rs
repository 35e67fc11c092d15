//! Synthetic scenes as a dataset.

use std::path::Path;

use crate::common::{SEGMENTATION, assert_says, config, open, open_error};
use gradway_data::{DatasetConfig, Split, check};
use gradway_scenes::{CLASSES, PALETTE, SceneConfig, render};

fn synthetic(keys: &str) -> DatasetConfig {
    config(Path::new(""), &format!("format = \"synthetic\"\n{keys}"))
}

const SMALL: &str = "width = 40\nheight = 32\ntrain_samples = 3\nval_samples = 2\n";

#[test]
fn a_format_without_keys_is_a_dataset() {
    let dataset = open(&synthetic(""), Split::Train);
    assert_eq!((dataset.name(), dataset.len()), ("synthetic", 256));
    assert_eq!(dataset.classes(), CLASSES);
    assert_eq!(dataset.palette(), PALETTE);
    assert_eq!(open(&synthetic(""), Split::Val).len(), 64);
}

#[test]
fn samples_are_the_scenes_of_the_generator() {
    let dataset = open(&synthetic(&format!("{SMALL}seed = 5")), Split::Train);
    let scenes = SceneConfig {
        width: 40,
        height: 32,
        seed: 5,
        ..SceneConfig::default()
    };
    for index in [2, 0] {
        let (sample, scene) = (dataset.get(index).unwrap(), render(&scenes, index as u64));
        dataset
            .0
            .get(index, &SEGMENTATION)
            .unwrap()
            .check()
            .unwrap();
        assert_eq!(sample.id, format!("train-00000{index}"));
        assert_eq!(sample.image, scene.image);
        assert_eq!(sample.labels.data, scene.classes);
        // The second time it is the one kept from the first.
        assert_eq!(dataset.get(index).unwrap(), sample);
    }
    assert_says(
        &dataset.get(3).unwrap_err(),
        &["sample index 3", "`synthetic` has 3 samples"],
    );
    assert_eq!(dataset.id(3), "");
}

#[test]
fn the_splits_share_no_scene_and_validation_stays_when_training_grows() {
    let train = open(&synthetic(SMALL), Split::Train);
    let val = open(&synthetic(SMALL), Split::Val);
    for one in 0..3 {
        for other in 0..2 {
            let (one, other) = (train.get(one).unwrap(), val.get(other).unwrap());
            assert_ne!(one.image, other.image);
        }
    }
    let more = SMALL.replace("train_samples = 3", "train_samples = 30");
    let same = open(&synthetic(&more), Split::Val);
    assert_eq!(same.get(1).unwrap(), val.get(1).unwrap());
    let other = open(&synthetic(&format!("{SMALL}seed = 1")), Split::Val);
    assert_ne!(other.get(1).unwrap(), val.get(1).unwrap());
}

#[test]
fn the_report_finds_nothing_wrong() {
    let report = check(open(&synthetic(SMALL), Split::Train).0.as_ref());
    assert_eq!((report.samples, report.readable), (3, 3));
    assert_eq!(report.ignored_pixels, 0);
    let pixels: u64 = report.labels.iter().map(|label| label.pixels).sum();
    assert_eq!(pixels, 3 * 40 * 32);
}

#[test]
fn invalid_values_name_their_key() {
    let error = |keys: &str| open_error(&synthetic(keys), Split::Train);
    assert_says(&error("width = 7"), &["`data.width` = 7", "8 to 8192"]);
    assert_says(&error("height = 9000"), &["`data.height` = 9000"]);
    assert_says(&error("train_samples = 0"), &["`data.train_samples` = 0"]);
    assert_says(&error("val_samples = 0"), &["`data.val_samples` = 0"]);
    let unknown = toml::from_str::<DatasetConfig>("format = \"synthetic\"\nroot = \"x\"");
    let unknown = unknown.unwrap_err().to_string();
    assert!(unknown.contains("unknown field `root`"), "{unknown}");
}
