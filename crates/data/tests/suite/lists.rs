//! Split lists in the forms that people have, and names of files.

use std::fs;
use std::path::Path;

use crate::common::{
    ADE, ade_fixture, ade_paths, assert_says, config, open, open_error, write_image, write_mask,
};
use gradway_data::{DataError, DatasetConfig, Split};

const FOLDER: &str = r#"
    format = "folder"
    root = "ROOT"
    images = "data/photos"
    masks = "data/labels"
    train_list = "list.txt"
    val_list = "list.txt"
    classes = ["zero", "one"]
    labels = { direct = { ignore = 255 } }
"#;

/// Two samples of the folders that the configuration names, a nested one, and others elsewhere.
fn fixture(root: &Path) -> DatasetConfig {
    for id in ["a", "my photo", "train/c"] {
        write_image(&root.join(format!("data/photos/{id}.jpg")), 3, 2);
        write_mask(&root.join(format!("data/labels/{id}.png")), 3, 2, |_, _| 0);
    }
    // Of the same name in another folder, and its mask of another value.
    write_image(&root.join("other/photos/a.jpg"), 3, 2);
    write_mask(&root.join("other/a_mask.png"), 3, 2, |_, _| 1);
    write_mask(&root.join("data/labels/a second.png"), 3, 2, |_, _| 1);
    config(root, FOLDER)
}

fn write_list(root: &Path, bytes: impl AsRef<[u8]>) {
    fs::write(root.join("list.txt"), bytes).unwrap();
}

/// Identifier, image and label of the first pixel of every sample.
fn samples(config: &DatasetConfig) -> Vec<(String, u8)> {
    let dataset = open(config, Split::Train);
    let sample = |index: usize| {
        let sample = dataset.get(index).unwrap();
        (sample.id, sample.labels.data[0])
    };
    (0..dataset.len()).map(sample).collect()
}

#[test]
fn a_line_may_be_a_stem_a_name_or_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let config = fixture(root);
    let absolute = root.join("data/photos/a.jpg").display().to_string();
    for line in [
        "a",
        "a.jpg",
        "  a.JPG  ",
        "\"a.jpg\"",
        "'a'",
        "photos/a.jpg",
        "photos/a",
        "data/photos/a.jpg",
        "./data/photos/a.jpg",
        "data\\photos\\a.jpg",
        "/on/another/machine/photos/a.jpg",
        "C:\\Users\\me\\photos\\a.jpg",
        &absolute,
    ] {
        write_list(root, line);
        assert_eq!(samples(&config), [("a".to_string(), 0)], "{line}");
    }
    write_list(root, "my photo.jpg\r\ntrain/c.jpg\r\n\r\na\r");
    let ids: Vec<String> = samples(&config).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["my photo", "train/c", "a"]);
}

#[test]
fn a_second_column_is_the_mask() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let config = fixture(root);
    for line in [
        "a.jpg other/a_mask.png",
        "a other/a_mask.png",
        "data/photos/a.jpg\tother/a_mask.png",
        "/data/photos/a.jpg   /other/a_mask.png",
        "a.jpg,other/a_mask.png",
        "\"a.jpg\" \"other/a_mask.png\"",
        "data\\photos\\a.jpg other\\a_mask.png",
        "a.jpg a second.png",
        "a.jpg labels/a second.png",
        "a a second",
    ] {
        write_list(root, line);
        assert_eq!(samples(&config), [("a".to_string(), 1)], "{line}");
    }
    write_list(root, "my photo.jpg my photo.png");
    assert_eq!(samples(&config), [("my photo".to_string(), 0)]);
}

#[test]
fn lines_that_name_nothing_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let config = fixture(root);
    let error = |line: &str| {
        write_list(root, line);
        open_error(&config, Split::Train)
    };
    // The flags of Pascal VOC's lists of one class are no masks.
    assert_says(
        &error("a\nmy photo  -1"),
        &["entry 2", "`-1` names no mask", "list.txt"],
    );
    assert_says(
        &error("a.jpg masks/a.png"),
        &["entry 1", "`masks/a.png` names no mask"],
    );
    assert_says(&error("b.jpg b.png"), &["sample `b`", "photos/b.jpg"]);
    // Another folder's image is not the one of the same name here.
    assert_says(&error("elsewhere/a.jpg"), &["`elsewhere/a`", "list.txt"]);
    assert_says(
        &error("a\nphotos/a.jpg"),
        &["`a` occurs twice", "entry 1", "entry 2"],
    );
    assert_says(&error("a other/a_mask.png\na"), &["`a` occurs twice"]);
}

#[test]
fn lists_have_the_encodings_of_their_shells() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let config = fixture(root);
    write_list(root, "\u{feff}a\r\nmy photo\r\n");
    assert_eq!(samples(&config).len(), 2);
    let wide = "\u{feff}a\r\nmy photo\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes);
    write_list(root, wide.collect::<Vec<u8>>());
    assert_eq!(samples(&config).len(), 2);
    write_list(root, b"a\nstra\xDFe\n");
    assert_says(
        &open_error(&config, Split::Train),
        &["list.txt", "not UTF-8 text", "byte 6"],
    );
}

#[test]
fn masks_may_end_in_capitals() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 2, 1);
    let mask = ade_paths(folder.path(), "training", "s001").1;
    fs::rename(&mask, mask.with_extension("PNG")).unwrap();
    let config = config(folder.path(), ADE);
    let dataset = open(&config, Split::Train);
    assert_eq!(dataset.get(1).unwrap().labels.get(1, 0), Some(0));
    // Both are one too many.
    write_mask(&mask, 8, 6, |_, _| 1);
    let parts = ["`s001` occurs twice", "s001.PNG", "s001.png"];
    assert_says(&open_error(&config, Split::Train), &parts);
}

#[test]
fn two_images_of_one_name_are_told() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    write_image(&folder.path().join("images/training/s000.JPG"), 8, 6);
    let error = open_error(&config(folder.path(), ADE), Split::Train);
    assert_says(&error, &["`s000` occurs twice", "s000.JPG", "s000.jpg"]);
}

#[test]
fn folders_named_like_files_and_hidden_files_are_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    fs::create_dir(folder.path().join("images/training/album.jpg")).unwrap();
    fs::create_dir(folder.path().join("annotations/training/album.png")).unwrap();
    fs::write(
        folder.path().join("images/training/._s000.jpg"),
        "of another system",
    )
    .unwrap();
    let config = config(folder.path(), ADE);
    assert_eq!(open(&config, Split::Train).len(), 1);
    let mask = ade_paths(folder.path(), "training", "s000").1;
    fs::remove_file(&mask).unwrap();
    fs::create_dir(&mask).unwrap();
    let error = open_error(&config, Split::Train);
    assert!(matches!(error, DataError::MissingMask { .. }), "{error}");
}

/// A name that is not UTF-8 is no reason to leave a sample out.
#[cfg(unix)]
#[test]
fn names_of_any_bytes_are_samples() {
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    let name = |ending: &[u8]| {
        let bytes = [b"stra\xDFe.", ending].concat();
        std::ffi::OsStr::from_bytes(&bytes).to_os_string()
    };
    let images = folder.path().join("images/training");
    let masks = folder.path().join("annotations/training");
    let renamed = fs::rename(images.join("s000.jpg"), images.join(name(b"jpg")));
    if renamed.is_err() {
        // A file system that refuses such names.
        return;
    }
    fs::rename(masks.join("s000.png"), masks.join(name(b"png"))).unwrap();
    let dataset = open(&config(folder.path(), ADE), Split::Train);
    let sample = dataset.get(0).unwrap();
    assert_eq!(sample.id, "stra\u{FFFD}e");
    assert_eq!(sample.image.dimensions(), (8, 6));
}
