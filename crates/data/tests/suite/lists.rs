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

/// The configuration of [`fixture`] with other keys.
fn config_of(root: &Path, keys: &str) -> DatasetConfig {
    config(root, &format!("{FOLDER}{keys}"))
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
fn an_image_elsewhere_names_its_mask() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let config = fixture(root);
    for line in [
        "other/photos/a.jpg",
        "other/photos/a",
        "./other/photos/../photos/a.jpg",
    ] {
        write_list(root, format!("my photo\n{line}"));
        let error = open_error(&config, Split::Train);
        let parts = [
            "list.txt names",
            "in entry 2",
            "outside of the image folder",
            "data/photos",
            "name its mask in a second column",
        ];
        assert_says(&error, &parts);
    }
    write_list(root, "other/photos/a.jpg other/a_mask.png");
    assert_eq!(samples(&config), [("a".to_string(), 1)]);
}

/// Lists of one class have flags, which may be stems of masks.
#[test]
fn a_flag_is_no_mask() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let config = fixture(root);
    for id in ["0", "1"] {
        write_image(&root.join(format!("data/photos/{id}.jpg")), 3, 2);
        write_mask(&root.join(format!("data/labels/{id}.png")), 3, 2, |_, _| 1);
    }
    for line in ["a 1", "a  1", "a\t1", "a,0", "a.jpg 1"] {
        write_list(root, format!("my photo\n{line}"));
        let error = open_error(&config, Split::Train);
        let parts = [
            "entry 2",
            "is not the stem of image `a`",
            "expected its mask",
            "flag",
        ];
        assert_says(&error, &parts);
    }
    for line in ["a a", "a.jpg a.png", "a labels/a"] {
        write_list(root, line);
        assert_eq!(samples(&config), [("a".to_string(), 0)], "{line}");
    }
    write_list(root, "a 1.png");
    assert_eq!(samples(&config), [("a".to_string(), 1)]);
    for lines in [
        "a 1.png\nmy photo labels/1.png",
        "1\na data/labels/../labels/1.png",
    ] {
        write_list(root, lines);
        let parts = ["names the mask", "labels/1.png", "entries 1 and 2"];
        assert_says(&open_error(&config, Split::Train), &parts);
    }
    let suffixed = config_of(root, "mask_suffix = \" second\"\n");
    write_list(root, "a a second");
    assert_eq!(samples(&suffixed), [("a".to_string(), 1)]);
}

#[test]
fn a_flag_is_no_annotation() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("VOC");
    for id in ["1", "7"] {
        write_image(&root.join(format!("JPEGImages/{id}.jpg")), 3, 2);
        let path = root.join(format!("Annotations/{id}.xml"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "<annotation/>").unwrap();
    }
    fs::create_dir_all(root.join("ImageSets/Main")).unwrap();
    fs::write(root.join("ImageSets/Main/dog_val.txt"), "7  1\n1 -1\n").unwrap();
    let text =
        "format = \"pascal_voc_detection\"\nroot = \"ROOT\"\nval_lists = [\"VOC/dog_val\"]\n";
    let error = config(folder.path(), text).open_detection(Split::Val).err();
    let parts = [
        "dog_val.txt",
        "entry 1",
        "`1` is not the stem of image `7`",
        "flag",
    ];
    assert_says(&error.unwrap(), &parts);
}

#[test]
fn stems_in_sub_folders_need_no_ending() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let config = fixture(root);
    for line in ["train/c", "data/photos/train/c.jpg", "train/c train/c"] {
        write_list(root, line);
        assert_eq!(samples(&config), [("train/c".to_string(), 0)], "{line}");
    }
    write_list(root, "train/c\ntrain/c.jpg");
    assert_says(
        &open_error(&config, Split::Train),
        &["`train/c` occurs twice"],
    );
    write_image(&root.join("data/photos/train/c.png"), 3, 2);
    write_list(root, "train/c");
    let parts = ["`c` occurs twice", "c.jpg", "c.png"];
    assert_says(&open_error(&config, Split::Train), &parts);
}

/// The images that a validation list names are not trained on, however it writes them.
#[test]
fn paths_with_detours_are_the_files_they_lead_to() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fixture(root);
    let text = FOLDER.replace("train_list = \"list.txt\"", "");
    let config = config(root, &text);
    #[cfg(unix)]
    std::os::unix::fs::symlink(root.join("data/photos"), root.join("linked")).unwrap();
    let lines = [
        "data/photos/../photos/a.jpg",
        "train/../a.jpg",
        "train/../a",
        "linked/a.jpg",
    ];
    for line in &lines[..if cfg!(unix) { 4 } else { 3 }] {
        write_list(root, line);
        let dataset = open(&config, Split::Val);
        assert_eq!(
            (dataset.len(), dataset.id(0)),
            (1, "a".to_string()),
            "{line}"
        );
        fs::remove_file(root.join("data/labels/a second.png")).unwrap_or_default();
        let trained_on = open(&config, Split::Train);
        assert_eq!(trained_on.len(), 1, "{line}");
        assert_eq!(trained_on.id(0), "my photo", "{line}");
    }
    write_list(root, "a\ndata/photos/../photos/a.jpg");
    assert_says(&open_error(&config, Split::Val), &["`a` occurs twice"]);
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
