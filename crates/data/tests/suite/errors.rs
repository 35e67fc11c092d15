//! Every kind of wrong input gives one error that names the file or key, the value, and what would
//! be right.

use std::fs;
use std::sync::Arc;

use crate::common::{
    ADE, Coordinates, ade_fixture, ade_paths, any_size, assert_says, config, open, open_error,
    segmentation, write_image, write_mask, write_mask_16,
};
use gradway_data::{
    AugmentConfig, DataError, DatasetConfig, DenseDataset, DenseEvaluation, DenseLoader,
    EvaluationSize, LoaderConfig, NetworkInput, Normalization, SlideConfig, Split,
};

#[test]
fn a_missing_folder_names_its_nearest_parent_and_the_layout() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(
        folder.path(),
        "format = \"ade20k\"\nroot = \"ROOT/not/there\"",
    );
    let nearest = format!("nearest existing folder: {}", folder.path().display());
    assert_says(
        &open_error(&config, Split::Train),
        &["not/there does not exist", &nearest, "annotations/training"],
    );
}

#[test]
fn a_missing_subfolder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("images/training")).unwrap();
    let error = open_error(&config(folder.path(), ADE), Split::Train);
    assert_says(&error, &["annotations/training does not exist", "`ade20k`"]);
}

#[test]
fn an_image_without_mask_names_both_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 3, 1);
    for id in ["s001", "s002"] {
        fs::remove_file(ade_paths(folder.path(), "training", id).1).unwrap();
    }
    let error = open_error(&config(folder.path(), ADE), Split::Train);
    assert_says(
        &error,
        &[
            "s001.jpg has no mask",
            "annotations/training/s001.png",
            "2 of 3 images",
        ],
    );
}

#[test]
fn a_mask_without_image_is_not_left_out_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 3, 1);
    for id in ["s001", "s002"] {
        fs::remove_file(ade_paths(folder.path(), "training", id).0).unwrap();
    }
    let error = open_error(&config(folder.path(), ADE), Split::Train);
    assert_says(
        &error,
        &[
            "annotations/training/s001.png has no image",
            "images/training",
            "2 of 3 masks",
            "download them again",
        ],
    );
    // The other split is whole.
    assert_eq!(open(&config(folder.path(), ADE), Split::Val).len(), 1);
}

#[test]
fn a_mask_of_another_size_names_both_sizes() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    write_mask(
        &ade_paths(folder.path(), "training", "s000").1,
        7,
        5,
        |_, _| 1,
    );
    let dataset = open(&config(folder.path(), ADE), Split::Train);
    let error = dataset.get(0).unwrap_err();
    assert_says(&error, &["s000.png is 7x5", "s000.jpg is 8x6", "nearest"]);
}

#[test]
fn a_label_out_of_range_names_value_and_pixel() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    let mask = ade_paths(folder.path(), "training", "s000").1;
    write_mask(&mask, 8, 6, |x, y| if (x, y) >= (5, 2) { 9 } else { 1 });
    let dataset = open(&config(folder.path(), ADE), Split::Train);
    assert_says(
        &dataset.get(0).unwrap_err(),
        &[
            "s000.png: label 9",
            "x=6, y=0",
            "3 classes",
            "`reduce_zero`",
            "0 and 255 (ignore) and 1..=3",
            "label policy",
        ],
    );

    write_mask_16(&mask, 8, 6, |x, y| if (x, y) == (3, 4) { 300 } else { 1 });
    assert_says(&dataset.get(0).unwrap_err(), &["label 300", "x=3, y=4"]);
}

#[test]
fn an_rgb_mask_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    write_image(&ade_paths(folder.path(), "training", "s000").1, 8, 6);
    let dataset = open(&config(folder.path(), ADE), Split::Train);
    assert_says(
        &dataset.get(0).unwrap_err(),
        &["s000.png is a 8-bit rgb PNG", "palette-indexed", "indices"],
    );
}

#[test]
fn damaged_images_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    let image = ade_paths(folder.path(), "training", "s000").0;
    write_image(&image, 64, 64);
    let whole = fs::read(&image).unwrap();
    let dataset = open(&config(folder.path(), ADE), Split::Train);
    let error_of = |bytes: &[u8]| {
        fs::write(&image, bytes).unwrap();
        dataset.get(0).unwrap_err()
    };
    // Cut anywhere: within the headers, within the data, or just before the end marker.
    for length in [
        20,
        200,
        whole.len() / 2,
        whole.len() * 9 / 10,
        whole.len() - 2,
    ] {
        let error = error_of(&whole[..length]);
        assert_says(
            &error,
            &["s000.jpg cannot be decoded", "end-of-image", "truncated"],
        );
    }
    assert_says(&error_of(b""), &["the file is empty"]);
    assert_says(
        &error_of(b"not an image"),
        &["cannot be decoded", "JPEG or PNG"],
    );
    let mut corrupt = whole.clone();
    // Overwrites the tables between the first markers.
    corrupt[4..whole.len() / 3].fill(0x55);
    assert_says(&error_of(&corrupt), &["s000.jpg cannot be decoded"]);
    // Bytes after the end of the image are harmless.
    let mut trailing = whole.clone();
    trailing.extend_from_slice(b"trailing");
    fs::write(&image, trailing).unwrap();
    assert_says(&dataset.get(0).unwrap_err(), &["s000.jpg is 64x64"]);
}

#[test]
fn a_truncated_mask_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    let mask = ade_paths(folder.path(), "training", "s000").1;
    let whole = fs::read(&mask).unwrap();
    let dataset = open(&config(folder.path(), ADE), Split::Train);
    for length in [0, 10, 40, whole.len() - 20] {
        fs::write(&mask, &whole[..length]).unwrap();
        let error = dataset.get(0).unwrap_err();
        assert_says(&error, &["s000.png cannot be decoded", "complete PNG"]);
    }
}

#[test]
fn an_empty_split_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 0);
    let error = open_error(&config(folder.path(), ADE), Split::Val);
    assert_says(&error, &["split `val` is empty", "images/validation"]);
}

#[test]
fn class_lists_of_the_wrong_length_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    fs::write(
        folder.path().join("twelve.txt"),
        "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nvoid\n",
    )
    .unwrap();
    let with = |rest: &str| {
        let text = format!("format = \"ade20k\"\nroot = \"ROOT\"\n{rest}");
        open_error(&config(folder.path(), &text), Split::Train)
    };
    assert_says(
        &with("classes = \"twelve.txt\"\nlabels = { direct = { ignore = 11 } }"),
        &["class list of 12 names", "at most 11", "value 11 as ignore"],
    );
    assert_says(
        &with("classes = []"),
        &["class list of 0 names", "at least one"],
    );
    assert_says(
        &with("classes = [\"a\", \"b\", \"a\"]"),
        &["`a` is both class 0 and class 2"],
    );
    assert_says(
        &with("classes = \"cityscapes\""),
        &["classes = \"cityscapes\"", "ade20k, camvid"],
    );
}

#[test]
fn a_class_file_that_is_not_mentioned_is_not_guessed_about() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    fs::write(folder.path().join("classes.txt"), "wall\nsky\ntree\n").unwrap();
    let text = "format = \"ade20k\"\nroot = \"ROOT\"\n";
    let error = open_error(&config(folder.path(), text), Split::Train);
    assert_says(
        &error,
        &[
            "classes.txt exists, but `classes` is not set",
            "classes = \"classes.txt\"",
        ],
    );
    let text = format!("{text}classes = \"classes.txt\"");
    let dataset = open(&config(folder.path(), &text), Split::Train);
    assert_eq!(dataset.classes(), ["wall", "sky", "tree"]);
}

#[test]
fn split_lists_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["a", "b"] {
        write_image(&folder.path().join(format!("images/{id}.png")), 4, 4);
        write_mask(
            &folder.path().join(format!("masks/{id}.png")),
            4,
            4,
            |_, _| 0,
        );
    }
    let base = "format = \"folder\"\nroot = \"ROOT\"\nclasses = [\"x\"]\n\
                labels = { direct = { ignore = 255 } }\n";
    let error = |rest: &str, list: &str| {
        fs::write(folder.path().join("val.txt"), list).unwrap();
        let config = config(folder.path(), &format!("{base}{rest}"));
        open_error(&config, Split::Val)
    };
    let with_list = "val_list = \"val.txt\"";
    assert_says(
        &error("", ""),
        &["split `val` is not defined", "`val_list`"],
    );
    assert_says(
        &error("val_list = \"no.txt\"", ""),
        &["split list", "no.txt does not exist"],
    );
    assert_says(
        &error(with_list, "a\nc\n"),
        &["sample `c`", "val.txt", "images/c.jpg"],
    );
    // A byte order mark is not part of the first name.
    assert_says(&error(with_list, "\u{feff}a\nc\n"), &["sample `c`"]);
    assert_says(
        &error(with_list, "a\nb\na.png\n"),
        &["sample `a` occurs twice", "entry 1", "entry 3"],
    );
    assert_says(
        &error(with_list, "\n\n"),
        &["split `val` is empty", "val.txt"],
    );
}

#[test]
fn two_images_of_one_stem_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    write_image(&folder.path().join("images/training/s000.png"), 8, 6);
    let error = open_error(&config(folder.path(), ADE), Split::Train);
    assert_says(&error, &["`s000` occurs twice", "s000.jpg", "s000.png"]);
}

#[test]
fn unknown_keys_and_formats_are_refused() {
    let error = |text: &str| {
        toml::from_str::<DatasetConfig>(text)
            .unwrap_err()
            .to_string()
    };
    let unknown = error("format = \"ade20k\"\nroot = \"x\"\nlabel = \"reduce_zero\"");
    assert!(unknown.contains("unknown field `label`"), "{unknown}");
    assert!(unknown.contains("`labels`"), "{unknown}");
    let unknown = error("format = \"cityscapes\"\nroot = \"x\"");
    assert!(unknown.contains("`cityscapes`"), "{unknown}");
    assert!(unknown.contains("`pascal_voc`"), "{unknown}");
    let missing = error("format = \"folder\"\nroot = \"x\"\nclasses = [\"a\"]");
    assert!(missing.contains("missing field `labels`"), "{missing}");
    let policy = error("format = \"ade20k\"\nroot = \"x\"\nlabels = \"keep\"");
    assert!(
        policy.contains("`keep`") && policy.contains("`reduce_zero`"),
        "{policy}"
    );
}

#[test]
fn invalid_augmentation_names_key_and_value() {
    let key_of = |change: fn(&mut AugmentConfig)| {
        let mut augment = AugmentConfig::default();
        augment.validate().unwrap();
        change(&mut augment);
        match augment.validate().unwrap_err() {
            DataError::InvalidValue { key, .. } => key,
            other => panic!("{other}"),
        }
    };
    assert_eq!(key_of(|a| a.crop_size = [0, 512]), "augment.crop_size");
    assert_eq!(
        key_of(|a| a.base_size = Some([512, 0])),
        "augment.base_size"
    );
    assert_eq!(
        key_of(|a| a.scale_range = [2.0, 0.5]),
        "augment.scale_range"
    );
    assert_eq!(
        key_of(|a| a.scale_range = [f32::NAN, 1.0]),
        "augment.scale_range"
    );
    assert_eq!(
        key_of(|a| a.crop_max_class_share = Some(0.0)),
        "augment.crop_max_class_share"
    );
    assert_eq!(
        key_of(|a| a.flip_probability = 1.5),
        "augment.flip_probability"
    );
    assert_eq!(
        key_of(|a| a.photometric.hue_delta = 200.0),
        "augment.photometric.hue_delta"
    );
    assert_eq!(
        key_of(|a| a.photometric.contrast_range = [-1.0, 1.0]),
        "augment.photometric.contrast_range"
    );
    let augment = AugmentConfig {
        scale_range: [2.0, 0.5],
        ..AugmentConfig::default()
    };
    assert_says(
        &augment.validate().unwrap_err(),
        &["`augment.scale_range` = [2.0, 0.5]", "in order"],
    );
    let error = toml::from_str::<AugmentConfig>("crop = [1, 1]").unwrap_err();
    assert!(
        error.to_string().contains("unknown field `crop`"),
        "{error}"
    );
}

#[test]
fn invalid_loaders_name_key_and_value() {
    let dataset: Arc<dyn DenseDataset> = Arc::new(Coordinates::new([(8, 8); 3]));
    let error = |config: LoaderConfig| {
        let augment = AugmentConfig::crop_only(8, 8);
        let input = any_size(Normalization::default());
        let loader =
            DenseLoader::training(segmentation(Arc::clone(&dataset)), augment, input, config);
        loader.err().unwrap()
    };
    let default = LoaderConfig::default;
    assert_says(
        &error(LoaderConfig {
            batch_size: 0,
            ..default()
        }),
        &["`loader.batch_size` = 0", "at least 1"],
    );
    assert_says(
        &error(LoaderConfig {
            prefetch: 0,
            ..default()
        }),
        &["`loader.prefetch` = 0"],
    );
    assert_says(
        &error(LoaderConfig {
            workers: 10_000,
            ..default()
        }),
        &["`loader.workers` = 10000", "0 to 256"],
    );
    assert_says(
        &error(LoaderConfig {
            batch_size: 4,
            ..default()
        }),
        &[
            "`loader.batch_size` = 4",
            "at most 3",
            "`coordinates`",
            "drop_last",
        ],
    );
    let empty: Arc<dyn DenseDataset> = Arc::new(Coordinates::new([]));
    let input = any_size(Normalization::default());
    let evaluation = DenseEvaluation::new(EvaluationSize::Original, input);
    let loader = DenseLoader::evaluation(segmentation(empty), evaluation.clone(), default());
    assert_says(&loader.err().unwrap(), &["`coordinates` has no samples"]);
    for (scales, shown) in [
        (vec![], "[]"),
        (vec![1.0, 0.0], "[1.0, 0.0]"),
        (vec![-1.5], "[-1.5]"),
        (vec![f64::NAN, 1.0], "[NaN, 1.0]"),
        (vec![1.0, 101.0], "[1.0, 101.0]"),
    ] {
        let evaluation = DenseEvaluation {
            scales,
            ..evaluation.clone()
        };
        let expected =
            format!("`evaluation.scales` = {shown}: expected a list of one or more factors");
        assert_says(&evaluation.validate().unwrap_err(), &[&expected]);
    }
    let slide = SlideConfig {
        crop: [32, 16],
        stride: [16, 16],
        base_size: None,
    };
    let evaluation = |stride| {
        let input = NetworkInput { stride, ..input };
        DenseEvaluation::new(EvaluationSize::Slide(slide), input)
    };
    assert!(evaluation(16).validate().is_ok());
    assert_says(
        &evaluation(32).validate().unwrap_err(),
        &[
            "`evaluation.size.slide.crop` = [32, 16]: expected at least 32, the stride of the coarsest map",
        ],
    );
    let size = EvaluationSize::Fixed {
        height: 0,
        width: 8,
    };
    assert_says(
        &size.validate().unwrap_err(),
        &["`evaluation.size.fixed` = [0, 8]"],
    );
}
