//! Every format reads its own layout.

use std::fs;

use crate::common::{
    ADE, ade_fixture, ade_paths, assert_says, config, open, open_error, write_image, write_indexed,
    write_mask, write_mask_16,
};
use gradway_data::{DatasetConfig, IGNORE, Split, check, labels::manifest, table};

#[test]
fn ade20k_reduces_zero() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 3, 2);
    let config = config(folder.path(), ADE);
    let train = open(&config, Split::Train);
    assert_eq!(train.len(), 3);
    assert_eq!(open(&config, Split::Val).len(), 2);
    assert_eq!(train.classes(), ["wall", "sky", "tree"]);
    assert_eq!(train.palette().len(), 3);
    let sample = train.get(1).unwrap();
    assert_eq!(sample.id, "s001");
    assert_eq!(sample.image.dimensions(), (8, 6));
    for (x, expected) in [(0, IGNORE), (1, 0), (2, 1), (3, 2), (4, IGNORE)] {
        assert_eq!(sample.labels.get(x, 0), Some(expected));
    }
    assert_eq!(sample.labels.get(8, 0), None);
}

#[test]
fn ade20k_has_its_own_classes_and_takes_those_of_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    let text = "format = \"ade20k\"\nroot = \"ROOT\"\n";
    let dataset = open(&config(folder.path(), text), Split::Train);
    assert_eq!(dataset.classes().len(), 150);
    assert_eq!(dataset.classes()[0], "wall");
    assert_eq!(dataset.classes()[149], "flag");
    let text = format!("{text}classes = \"camvid\"\nlabels = {{ direct = {{ ignore = 11 }} }}");
    let dataset = open(&config(folder.path(), &text), Split::Train);
    assert_eq!((dataset.name(), dataset.classes().len()), ("camvid", 11));
    assert_eq!(dataset.palette()[0], [128, 128, 128]);
    assert_eq!(dataset.get(0).unwrap().labels.get(0, 0), Some(0));
}

#[test]
fn masks_of_every_grey_depth_hold_values() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    let mask = ade_paths(folder.path(), "training", "s000").1;
    write_mask_16(&mask, 8, 6, |x, _| (x % 4) as u16);
    let dataset = open(&config(folder.path(), ADE), Split::Train);
    let labels = dataset.get(0).unwrap().labels;
    assert_eq!(labels.data[..5], [IGNORE, 0, 1, 2, IGNORE]);
}

fn voc_fixture(root: &std::path::Path) {
    write_image(&root.join("JPEGImages/one.jpg"), 5, 2);
    write_image(&root.join("JPEGImages/two.jpg"), 5, 2);
    write_image(&root.join("JPEGImages/unlabelled.jpg"), 5, 2);
    let masks = root.join("SegmentationClass");
    let pixels = [0, 1, 15, 20, 255, 255, 7, 7, 7, 0];
    write_indexed(&masks.join("one.png"), 5, 2, png::BitDepth::Eight, &pixels);
    // Four bits a pixel, rows padded to whole bytes.
    let packed = [0x01, 0x2F, 0x30, 0x44, 0x55, 0x60];
    write_indexed(&masks.join("two.png"), 5, 2, png::BitDepth::Four, &packed);
    let lists = root.join("ImageSets/Segmentation");
    fs::create_dir_all(&lists).unwrap();
    fs::write(lists.join("train.txt"), "two\none\n").unwrap();
    fs::write(lists.join("val.txt"), "one\r\n").unwrap();
}

#[test]
fn voc_reads_palette_indices_rather_than_colors() {
    let folder = tempfile::tempdir().unwrap();
    voc_fixture(folder.path());
    let config = config(folder.path(), "format = \"pascal_voc\"\nroot = \"ROOT\"");
    let train = open(&config, Split::Train);
    assert_eq!(train.classes().len(), 21);
    assert_eq!(train.palette()[15], [192, 128, 128]);
    // The order is that of the list.
    assert_eq!((train.id(0), train.id(1)), ("two".into(), "one".into()));
    let one = train.get(1).unwrap();
    assert_eq!(one.labels.data, [0, 1, 15, 20, 255, 255, 7, 7, 7, 0]);
    let two = train.get(0).unwrap();
    assert_eq!(two.labels.data, [0, 1, 2, 15, 3, 4, 4, 5, 5, 6]);
    let val = open(&config, Split::Val);
    assert_eq!((val.len(), val.id(0)), (1, "one".into()));
}

fn folder_fixture(root: &std::path::Path) {
    for (id, extension) in [("a", "jpg"), ("b", "jpeg"), ("c.d", "png")] {
        write_image(&root.join(format!("photos/{id}.{extension}")), 4, 3);
        write_mask(&root.join(format!("labels/{id}_m.png")), 4, 3, |x, _| {
            x as u8 % 2
        });
    }
    fs::write(root.join("photos/readme.txt"), "not an image").unwrap();
    fs::write(root.join("val.txt"), "c.d\n").unwrap();
}

const FOLDER: &str = r#"
    format = "folder"
    root = "ROOT"
    images = "photos"
    masks = "labels"
    mask_suffix = "_m"
    val_list = "val.txt"
    classes = ["even", "odd"]
    labels = { direct = { ignore = 255 } }
"#;

#[test]
fn folder_trains_on_what_the_validation_list_leaves() {
    let folder = tempfile::tempdir().unwrap();
    folder_fixture(folder.path());
    let config = config(folder.path(), FOLDER);
    let train = open(&config, Split::Train);
    assert_eq!(
        (0..train.len()).map(|i| train.id(i)).collect::<Vec<_>>(),
        ["a", "b"]
    );
    let val = open(&config, Split::Val);
    assert_eq!(val.id(0), "c.d");
    assert_eq!(val.get(0).unwrap().labels.data[..4], [0, 1, 0, 1]);
}

#[test]
fn folder_splits_by_folder_name() {
    let folder = tempfile::tempdir().unwrap();
    for split in ["train", "val"] {
        write_image(
            &folder.path().join(format!("images/{split}/{split}.png")),
            2,
            2,
        );
        write_mask(
            &folder.path().join(format!("masks/{split}/{split}.png")),
            2,
            2,
            |_, _| 0,
        );
    }
    let text = r#"
        format = "folder"
        root = "ROOT"
        images = "images/{split}"
        masks = "masks/{split}"
        classes = ["thing"]
        labels = { direct = { ignore = 255 } }
    "#;
    let config = config(folder.path(), text);
    assert_eq!(open(&config, Split::Train).id(0), "train");
    assert_eq!(open(&config, Split::Val).id(0), "val");
}

#[test]
fn folder_splits_by_folder_name_may_share_their_masks() {
    let folder = tempfile::tempdir().unwrap();
    for split in ["train", "val"] {
        let path = |kind: &str| folder.path().join(format!("{kind}/{split}.png"));
        write_image(&path(&format!("images/{split}")), 2, 2);
        write_mask(&path("masks"), 2, 2, |_, _| 0);
        // A preview beside the mask is neither a mask nor an image.
        write_image(&path("masks").with_extension("jpg"), 2, 2);
    }
    let text = r#"
        format = "folder"
        root = "ROOT"
        images = "images/{split}"
        classes = ["thing"]
        labels = { direct = { ignore = 255 } }
    "#;
    let shared = config(folder.path(), text);
    assert_eq!(open(&shared, Split::Train).id(0), "train");
    assert_eq!(open(&shared, Split::Val).id(0), "val");
}

/// Images that cannot be read must not silently be missing from a split.
#[test]
fn images_of_shared_masks_are_of_a_kind_that_is_read() {
    for name in ["pond.gif", "pond.HEIC", "pond.jpg"] {
        let folder = tempfile::tempdir().unwrap();
        for id in ["train", "val", "pond"] {
            write_mask(
                &folder.path().join(format!("masks/{id}.png")),
                2,
                2,
                |_, _| 0,
            );
        }
        for split in ["train", "val"] {
            write_image(
                &folder.path().join(format!("images/{split}/{split}.png")),
                2,
                2,
            );
        }
        let text = r#"
            format = "folder"
            root = "ROOT"
            images = "images/{split}"
            classes = ["thing"]
            labels = { direct = { ignore = 255 } }
        "#;
        let of_splits = text.replace("classes", "masks = \"masks/{split}\"\nclasses");
        for split in ["train", "val"] {
            for id in [split, "pond"] {
                let path = folder.path().join(format!("masks/{split}/{id}.png"));
                write_mask(&path, 2, 2, |_, _| 0);
            }
            let image = folder.path().join(format!("images/{split}/{name}"));
            match name.ends_with("jpg") {
                false => fs::write(image, "of another kind").unwrap(),
                #[cfg(unix)]
                true => std::os::unix::fs::symlink("nowhere.jpg", image).unwrap(),
                #[cfg(not(unix))]
                true => continue,
            }
        }
        let shared = open_error(&config(folder.path(), text), Split::Train);
        let part = match name.ends_with("jpg") {
            true => "a link to a file that does not exist",
            false => "convert it to PNG or JPEG",
        };
        assert_says(&shared, &[&format!("train/{name}"), part]);
        let separate = open_error(&config(folder.path(), &of_splits), Split::Train);
        assert_eq!(separate.to_string(), shared.to_string());
    }
}

#[test]
fn masks_may_be_beside_their_images() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["a", "b"] {
        write_image(&folder.path().join(format!("all/{id}.png")), 2, 2);
        write_mask(
            &folder.path().join(format!("all/{id}_mask.png")),
            2,
            2,
            |_, _| 0,
        );
    }
    fs::write(folder.path().join("val.txt"), "b\n").unwrap();
    let text = r#"
        format = "folder"
        root = "ROOT"
        images = "all"
        masks = "./all"
        mask_suffix = "_mask"
        val_list = "val.txt"
        classes = ["thing"]
        labels = { direct = { ignore = 255 } }
    "#;
    let config = config(folder.path(), text);
    for (split, id) in [(Split::Train, "a"), (Split::Val, "b")] {
        let dataset = open(&config, split);
        assert_eq!((dataset.len(), dataset.id(0)), (1, id.to_string()));
    }
}

#[test]
fn a_mask_of_another_kind_is_named() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    let mask = ade_paths(folder.path(), "training", "s000").1;
    for (name, kind, advice) in [
        (
            "s000.bmp",
            "BMP file",
            "convert it to PNG without changing its values",
        ),
        ("s000.JPG", "JPG file", "create the mask again as PNG"),
        ("s000.gif", "GIF file", "convert it to PNG"),
    ] {
        let other = mask.with_file_name(name);
        fs::remove_file(&mask).unwrap_or_default();
        fs::write(&other, "any").unwrap();
        let error = open_error(&config(folder.path(), ADE), Split::Train);
        assert_says(&error, &[name, kind, "expected a mask", advice]);
        fs::remove_file(other).unwrap();
    }
}

#[test]
fn a_class_list_has_no_comments() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    fs::write(
        folder.path().join("names.txt"),
        "# classes\nwall\nsky\ntree\n",
    )
    .unwrap();
    let text = "format = \"ade20k\"\nroot = \"ROOT\"\nclasses = \"names.txt\"\n";
    let error = open_error(&config(folder.path(), text), Split::Train);
    assert_says(
        &error,
        &["`classes`", "`# classes`", "names.txt", "without comments"],
    );
}

#[test]
fn previews_beside_masks_are_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 2, 1);
    let mask = ade_paths(folder.path(), "training", "s000").1;
    write_image(&mask.with_extension("jpg"), 8, 6);
    assert_eq!(open(&config(folder.path(), ADE), Split::Train).len(), 2);
}

#[test]
fn configurations_survive_a_round_trip() {
    let root = std::path::Path::new("somewhere");
    let voc = "format = \"pascal_voc\"\nroot = \"ROOT\"";
    for text in [ADE, FOLDER, voc, "format = \"synthetic\""] {
        let config = config(root, text);
        let written = toml::to_string(&config).unwrap();
        assert_eq!(
            toml::from_str::<DatasetConfig>(&written).unwrap(),
            config,
            "{written}"
        );
        assert!(written.contains(&format!("format = \"{}\"", config.descriptor().name)));
    }
}

#[test]
fn the_table_names_what_configurations_name() {
    for format in table() {
        let text = format!("format = \"{}\"\nno_such_key = 1", format.name);
        let error = toml::from_str::<DatasetConfig>(&text)
            .unwrap_err()
            .to_string();
        assert!(
            !error.contains("unknown variant"),
            "{}: {error}",
            format.name
        );
        assert!(!format.summary.is_empty() && !format.layout.is_empty());
    }
}

#[test]
fn configurations_of_manifests_are_valid() {
    for name in manifest::names() {
        let manifest = manifest::find(name).unwrap().unwrap();
        let text = manifest.configuration.as_deref().unwrap();
        let config: DatasetConfig = toml::from_str(text).unwrap();
        assert_eq!(config.descriptor().name, manifest.format, "{name}");
    }
}

#[test]
fn check_reports_every_problem_and_counts_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 5, 1);
    let paths = |id| ade_paths(folder.path(), "training", id);
    fs::write(paths("s000").0, b"\xFF\xD8 broken").unwrap();
    write_mask(&paths("s002").1, 8, 6, |_, _| 77);
    fs::remove_file(paths("s003").1).unwrap();
    write_image(&paths("s004").0, 4, 4);
    write_mask(&paths("s004").1, 4, 4, |x, _| if x == 0 { 0 } else { 2 });

    let report = config(folder.path(), ADE).check(Split::Train).unwrap();
    assert_eq!((report.samples, report.readable), (5, 2));
    let ids: Vec<&str> = report.problems.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["s000", "s002", "s003"]);
    assert!(report.problems[1].message.contains("label 77"));
    assert!(report.problems[2].message.contains("has no mask"));
    // s001: 48 pixels of which each label has 12; s004: 12 of class 1 and 4 ignored.
    let pixels: Vec<u64> = report.labels.iter().map(|label| label.pixels).collect();
    assert_eq!(pixels, [12, 24, 12]);
    assert_eq!(report.labels[1].samples, 2);
    assert!((report.labels[1].share - 0.5).abs() < 1e-12);
    assert_eq!(report.ignored_pixels, 16);
    assert!((report.ignored_share - 0.25).abs() < 1e-12);
    let sizes: Vec<(u32, u32)> = report.sizes.iter().map(|s| (s.width, s.height)).collect();
    assert_eq!(sizes, [(4, 4), (8, 6)]);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["labels"][0]["name"], "wall");
}

/// The real datasets, where they are.
#[test]
fn real_datasets_are_as_their_manifests_say() {
    let Some(root) = std::env::var_os("GRADWAY_DATA").map(std::path::PathBuf::from) else {
        return;
    };
    for name in ["camvid", "ccp"] {
        if !root.join(name).is_dir() {
            continue;
        }
        let manifest = manifest::find(name).unwrap().unwrap();
        let text = manifest.configuration.as_deref().unwrap();
        let config: DatasetConfig = toml::from_str(text).unwrap();
        for (split, count) in [
            (Split::Train, manifest.train_samples),
            (Split::Val, manifest.val_samples),
        ] {
            let dataset = open(&config, split);
            assert_eq!(dataset.classes(), manifest.classes);
            let report = check(dataset.0.as_ref());
            assert_eq!(Some(report.samples), count, "{name} {}", split.name());
            assert_eq!(report.problems, [], "{name} {}", split.name());
            let seen = report
                .labels
                .iter()
                .filter(|label| label.pixels > 0)
                .count();
            // Rare classes of `ccp` do not occur in its few validation images.
            if split == Split::Train {
                assert!(seen * 5 >= manifest.classes.len() * 4, "{name}: {seen}");
            }
        }
        let listed = fs::read_to_string(root.join(name).join("classes.txt")).unwrap();
        let listed: Vec<&str> = listed.lines().take(manifest.classes.len()).collect();
        assert_eq!(listed, manifest.classes, "{name}");
    }
}
