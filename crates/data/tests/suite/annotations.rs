//! Annotation files as programs and people write them: what is read, and what a fault is called.

use std::fs;
use std::path::Path;

use crate::common::{assert_says, config, write_image};
use gradway_data::detection::DetectionDataset;
use gradway_data::{DataError, DatasetConfig, Split};
use serde_json::{Value, json};

const COCO: &str = "format = \"coco\"\nroot = \"ROOT\"\ntrain_images = \"photos\"\nval_images = \"photos\"\n\
                    train_annotations = \"train.json\"\nval_annotations = \"val.json\"\n";

const VOC: &str = "format = \"pascal_voc_detection\"\nroot = \"ROOT\"\nclasses = [\"cat\", \"dog\"]\n\
                   train_lists = [\"VOC/list\"]\nval_lists = [\"VOC/list\"]\n";

/// Two images, each with an object of either category.
fn coco() -> Value {
    let image =
        |id: u64, name: &str| json!({ "id": id, "file_name": name, "width": 12, "height": 8 });
    let object = |id: u64, image: u64, category: u64| {
        json!({
            "id": id, "image_id": image, "category_id": category, "bbox": [2, 1, 4, 3], "area": 12,
            "segmentation": [[2, 1, 6, 1, 6, 4, 2, 4]], "iscrowd": 0,
        })
    };
    json!({
        "images": [image(1, "a.jpg"), image(2, "b.jpg")],
        "annotations": [object(10, 1, 7), object(11, 2, 9)],
        "categories": [{ "id": 7, "name": "cat" }, { "id": 9, "name": "dog" }],
    })
}

struct Fixture {
    folder: tempfile::TempDir,
    config: DatasetConfig,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "sub/c"] {
            write_image(&folder.path().join(format!("photos/{name}.jpg")), 12, 8);
        }
        let config = config(folder.path(), COCO);
        let fixture = Self { folder, config };
        fixture.write("train.json", coco().to_string());
        fixture.write("val.json", coco().to_string());
        fixture
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    fn open(&self, split: Split) -> Result<std::sync::Arc<dyn DetectionDataset>, DataError> {
        self.config.open_detection(split)
    }

    /// The validation split of a changed file.
    fn changed(
        &self,
        change: impl FnOnce(&mut Value),
    ) -> Result<std::sync::Arc<dyn DetectionDataset>, DataError> {
        let mut json = coco();
        change(&mut json);
        self.write("val.json", json.to_string());
        self.open(Split::Val)
    }

    /// The error of opening it, and that `check` gives the same.
    fn error(&self, change: impl FnOnce(&mut Value)) -> DataError {
        let error = self
            .changed(change)
            .err()
            .expect("an error before anything is read");
        let checked = self
            .config
            .check(Split::Val)
            .expect_err("an error of the check");
        assert_eq!(checked.to_string(), error.to_string());
        error
    }
}

#[test]
fn classes_are_those_of_the_training_split() {
    let fixture = Fixture::new();
    let three =
        json!([{ "id": 9, "name": "dog" }, { "id": 8, "name": "cow" }, { "id": 7, "name": "cat" }]);
    let mut json = coco();
    json["categories"] = three.clone();
    fixture.write("train.json", json.to_string());
    for split in [Split::Train, Split::Val] {
        let dataset = fixture.open(split).unwrap();
        assert_eq!(dataset.classes(), ["cat", "cow", "dog"], "{}", split.name());
        assert_eq!(dataset.category_ids(), [7, 8, 9]);
        assert_eq!(dataset.palette().len(), 3);
        let classes = [0, 1].map(|index| dataset.get(index).unwrap().instances[0].class);
        assert_eq!(classes, [0, 2], "{}", split.name());
    }
    let report = fixture.config.check(Split::Val).unwrap();
    assert_eq!(
        report.warnings[0].message,
        "1 of 3 classes never occurs: cow"
    );
    // The order of the list does not matter, the identifiers do.
    assert!(
        fixture
            .changed(|json| json["categories"] = json!([three[0], three[2]]))
            .is_ok()
    );

    let permuted = json!([{ "id": 7, "name": "dog" }, { "id": 9, "name": "cat" }]);
    let parts = [
        "val.json",
        "category 7 dog",
        "7 dog, 9 cat",
        "train.json",
        "7 cat, 8 cow, 9 dog",
    ];
    assert_says(&fixture.error(|json| json["categories"] = permuted), &parts);
    let more = json!([{ "id": 7, "name": "cat" }, { "id": 9, "name": "dog" }, { "id": 10, "name": "emu" }]);
    let parts = ["category 10 emu", "may lack some"];
    assert_says(&fixture.error(|json| json["categories"] = more), &parts);

    // With nothing to compare with, the file's own.
    fs::remove_file(fixture.folder.path().join("train.json")).unwrap();
    let dataset = fixture.changed(|_| ()).unwrap();
    assert_eq!(dataset.category_ids(), [7, 9]);
}

#[test]
fn a_byte_order_mark_is_no_fault() {
    let fixture = Fixture::new();
    fixture.write("val.json", format!("\u{feff}{}", coco()));
    fixture.write("train.json", format!("\u{feff}{}", coco()));
    assert_eq!(fixture.open(Split::Val).unwrap().len(), 2);
    let wide = coco().to_string();
    let wide = "\u{feff}".encode_utf16().chain(wide.encode_utf16());
    fixture.write(
        "val.json",
        wide.flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
    );
    assert_says(
        &fixture.open(Split::Val).err().unwrap(),
        &["val.json", "UTF-16", "JSON is UTF-8"],
    );
}

#[test]
fn whole_numbers_may_be_floats() {
    let fixture = Fixture::new();
    let dataset = fixture.changed(|json| {
        json["images"][0]["width"] = json!(12.0);
        json["images"][0]["id"] = json!(1.0);
        json["annotations"][0]["image_id"] = json!(1.0);
        json["annotations"][0]["iscrowd"] = json!(0.0);
        json["annotations"][1]["category_id"] = json!(9.0);
        json["annotations"][1]["area"] = Value::Null;
        json["annotations"][1]["segmentation"] =
            json!({ "size": [8.0, 12.0], "counts": [17.0, 3.0, 76.0] });
    });
    let dataset = dataset.unwrap();
    let sample = dataset.get(0).unwrap();
    assert_eq!((sample.image_id, sample.instances[0].id), (1, 10));
    let mask = dataset.get(1).unwrap().instances[0].mask.clone();
    assert_eq!(mask.unwrap().area(), 3);
    for (runs, part) in [
        (json!({ "size": [8.5, 12], "counts": [96] }), "`size` = 8.5"),
        (
            json!({ "size": [8, 12], "counts": [96.5] }),
            "`counts` = 96.5",
        ),
    ] {
        let error = fixture.error(|json| json["annotations"][1]["segmentation"] = runs);
        assert_says(&error, &["annotation 11", part, "a whole number of pixels"]);
    }
}

#[test]
fn faults_name_the_entry_and_the_key() {
    let fixture = Fixture::new();
    type Change = fn(&mut Value);
    let remove = |list: &str, key: &str, json: &mut Value| {
        json[list][1].as_object_mut().unwrap().remove(key);
    };
    let cases: [(Change, [&str; 3]); 9] = [
        (
            |json| json["images"][1]["id"] = json!("2"),
            ["images[1]", "`id` = \"2\"", "a whole number from 0"],
        ),
        (
            |json| json["images"][1]["width"] = json!(12.5),
            ["image 2", "`width` = 12.5", "whole number of pixels"],
        ),
        (
            |json| json["images"][1]["width"] = json!("12"),
            ["image 2", "`width` = \"12\"", "whole number of pixels"],
        ),
        (
            |json| json["images"][1]["file_name"] = json!(2),
            ["image 2", "`file_name` = 2", "a string"],
        ),
        (
            |json| json["annotations"][1]["image_id"] = json!("b.jpg"),
            ["annotation 11", "`image_id` = \"b.jpg\"", "whole number"],
        ),
        (
            |json| json["annotations"][1]["category_id"] = json!(-9),
            ["annotation 11", "`category_id` = -9", "from 0"],
        ),
        (
            |json| json["annotations"][1]["area"] = json!([0]),
            ["annotation 11", "`area` = [0]", "a number"],
        ),
        (
            |json| json["categories"][1]["name"] = json!(9),
            ["category 9", "`name` = 9", "a string"],
        ),
        (
            |json| json["categories"][1]["id"] = json!("9"),
            ["categories[1]", "`id` = \"9\"", "a whole number"],
        ),
    ];
    for (change, parts) in cases {
        let error = fixture.error(change);
        assert_says(&error, &["val.json"]);
        assert_says(&error, &parts);
        // No advice that does not fit.
        assert_eq!(error.hint(), None, "{error}");
    }
    for (list, key, entry) in [
        ("images", "id", "images[1]"),
        ("images", "file_name", "image 2"),
        ("images", "height", "image 2"),
        ("annotations", "id", "annotations[1]"),
        ("annotations", "image_id", "annotation 11"),
        ("annotations", "category_id", "annotation 11"),
        ("annotations", "bbox", "annotation 11"),
        ("categories", "name", "category 9"),
    ] {
        let error = fixture.error(|json| remove(list, key, json));
        assert_says(&error, &["val.json", entry, &format!("`{key}` is missing")]);
    }
    let error = fixture.error(|json| drop(json.as_object_mut().unwrap().remove("categories")));
    assert_says(&error, &["val.json", "missing field `categories`"]);
    assert_eq!(error.hint(), None);
    let error = fixture.error(|json| json["images"][1] = json!(3));
    assert_says(
        &error,
        &["an image with `id`, `file_name`, `width` and `height`"],
    );
}

#[test]
fn two_categories_of_one_name_are_told() {
    let fixture = Fixture::new();
    let error = fixture.error(|json| json["categories"][1]["name"] = json!("cat"));
    let parts = [
        "val.json",
        "categories 7 and 9",
        "both `cat`",
        "rename or remove",
    ];
    assert_says(&error, &parts);
}

#[test]
fn hints_are_given_where_they_fit() {
    let fixture = Fixture::new();
    let hint = |text: &str| {
        fixture.write("val.json", text);
        fixture.open(Split::Val).err().unwrap().hint()
    };
    let whole = coco().to_string();
    assert!(
        hint(&whole[..whole.len() / 2])
            .unwrap()
            .contains("is truncated")
    );
    let number = whole.replace("\"area\":12", "\"area\":NaN");
    assert!(hint(&number).unwrap().contains("NaN"), "{number}");
    let infinite = whole.replace("\"area\":12", "\"area\":-Infinity");
    assert!(hint(&infinite).unwrap().contains("Infinity"));
    assert_eq!(hint(&whole.replace("\"area\":12", "\"area\":'12'")), None);
}

#[test]
fn masks_of_every_annotation_are_checked_before_anything_is_read() {
    let fixture = Fixture::new();
    let runs = |size: [u32; 2], counts: Value| {
        fixture.error(|json| {
            json["annotations"][1]["segmentation"] = json!({ "size": size, "counts": counts })
        })
    };
    assert_says(
        &runs([12, 8], json!([96])),
        &["annotation 11", "8x12", "image 2 is 12x8"],
    );
    assert_says(
        &runs([8, 12], json!([95])),
        &["annotation 11", "add up to 95"],
    );
    assert_says(
        &runs([8, 12], json!("a0350")),
        &["annotation 11", "add up to"],
    );
    let flat =
        fixture.error(|json| json["annotations"][1]["segmentation"] = json!([2, 1, 6, 1, 6, 4]));
    assert_says(&flat, &["annotation 11", "a list of such lists"]);

    // A part of two points beside a good one is customarily dropped.
    let dataset = fixture.changed(|json| {
        json["annotations"][1]["segmentation"] = json!([[0, 0, 3, 3], [2, 1, 6, 1, 6, 4, 2, 4]]);
    });
    let mask = dataset.unwrap().get(1).unwrap().instances[0].mask.clone();
    assert_eq!(mask.unwrap().area(), 12);
}

#[test]
fn an_object_without_a_mask_is_told_before_a_head_of_masks_meets_it() {
    let fixture = Fixture::new();
    for empty in [Value::Null, json!([])] {
        let dataset =
            fixture.changed(|json| json["annotations"][1]["segmentation"] = empty.clone());
        let error = dataset.unwrap().require_masks().unwrap_err();
        let parts = [
            "val.json",
            "annotation 11",
            "image `b`",
            "1 of 2 objects",
            "faster_rcnn",
        ];
        assert_says(&error, &parts);
        let report = fixture.config.check(Split::Val).unwrap();
        let [warning] = &report.warnings[..] else {
            panic!("{:?}", report.warnings);
        };
        assert_eq!(warning.message, error.to_string());
    }
    assert!(fixture.changed(|_| ()).unwrap().require_masks().is_ok());
    // Boxes alone are a data set of their own kind.
    fixture
        .changed(|json| {
            for object in json["annotations"].as_array_mut().unwrap() {
                object["segmentation"] = json!([]);
            }
        })
        .unwrap();
    assert_eq!(fixture.config.check(Split::Val).unwrap().warnings, []);
}

#[test]
fn a_mask_without_a_pixel_is_not_trained_on() {
    let fixture = Fixture::new();
    let write = |first: Value, second: Value| {
        let mut json = coco();
        json["annotations"][0]["segmentation"] = first;
        json["annotations"][1]["segmentation"] = second;
        fixture.write("train.json", json.to_string());
        fixture.write("val.json", json.to_string());
    };
    let square = json!([[2, 1, 6, 1, 6, 4, 2, 4]]);
    for empty in [
        json!([[102, 1, 106, 1, 106, 4, 102, 4]]),
        json!([[2, -9, 6, -9, 6, -5, 2, -5]]),
        json!({ "size": [8, 12], "counts": [96] }),
        json!({ "size": [8, 12], "counts": "P3" }),
    ] {
        write(square.clone(), empty.clone());
        let open = |split| fixture.config.open_detection_with_masks(split).unwrap();
        let dataset = open(Split::Train);
        let ids: Vec<String> = (0..dataset.len()).map(|index| dataset.id(index)).collect();
        assert_eq!(ids, ["a"], "{empty}");
        assert_eq!(
            dataset.skipped().to_string(),
            "1 annotations whose mask is empty (11); 1 images with nothing to train on (b)"
        );
        // Scores count it, as pycocotools does; and a detector of boxes has its box.
        assert_eq!(open(Split::Val).len(), 2);
        assert_eq!(fixture.open(Split::Train).unwrap().len(), 2);
        let report = fixture.config.check(Split::Train).unwrap();
        let [warning] = &report.warnings[..] else {
            panic!("{:?}", report.warnings);
        };
        assert_eq!(warning.message, "1 annotations whose mask is empty (11)");
        assert!(
            warning
                .hint
                .as_ref()
                .unwrap()
                .contains("pixels of the image")
        );

        write(empty.clone(), empty);
        let error = fixture.config.open_detection_with_masks(Split::Train).err();
        let parts = [
            "train.json",
            "nothing to train on",
            "2 annotations whose mask is empty",
        ];
        assert_says(&error.unwrap(), &parts);
        let keep = config(fixture.folder.path(), &format!("{COCO}keep_empty = true\n"));
        write(square.clone(), json!({ "size": [8, 12], "counts": [96] }));
        let dataset = keep.open_detection_with_masks(Split::Train).unwrap();
        assert_eq!(dataset.len(), 2);
        assert!(dataset.get(1).unwrap().instances.is_empty());
    }
    write(square, Value::Null);
    let error = fixture.config.open_detection_with_masks(Split::Train).err();
    assert_says(&error.unwrap(), &["annotation 11", "has no mask"]);
}

#[test]
fn a_split_of_which_nothing_is_left_says_what_was_left_out() {
    let fixture = Fixture::new();
    let mut json = coco();
    json["annotations"][0]["segmentation"] = json!([[]]);
    json["annotations"][1]["bbox"] = json!([2, 1, 0, 3]);
    fixture.write("train.json", json.to_string());
    fixture.write("val.json", json.to_string());
    for (split, purpose) in [
        (Split::Train, "nothing to train on"),
        (Split::Val, "nothing to evaluate on"),
    ] {
        let error = fixture.open(split).err().unwrap();
        let parts = [
            purpose,
            "1 annotations whose box has no area (11)",
            "1 annotations without a polygon of three points (10)",
        ];
        assert_says(&error, &parts);
        assert!(!error.to_string().contains("is empty"), "{error}");
    }
    // An image that is empty from the start is another matter.
    json["annotations"] = json!([]);
    fixture.write("train.json", json.to_string());
    assert_says(
        &fixture.open(Split::Train).err().unwrap(),
        &["`train` is empty"],
    );
}

#[test]
fn file_names_may_be_of_windows() {
    let fixture = Fixture::new();
    let dataset = fixture.changed(|json| json["images"][1]["file_name"] = json!("sub\\c.jpg"));
    let dataset = dataset.unwrap();
    assert_eq!(dataset.id(1), "sub/c");
    assert_eq!(dataset.get(1).unwrap().image.dimensions(), (12, 8));
}

#[test]
fn boxes_beyond_the_image_are_cut_and_huge_ones_are_no_numbers() {
    let fixture = Fixture::new();
    let dataset =
        fixture.changed(|json| json["annotations"][0]["bbox"] = json!([-1e9, -5, 2e9, 7]));
    let bounds = dataset.unwrap().get(0).unwrap().instances[0].bounds;
    assert_eq!(bounds, [0.0, 0.0, 12.0, 2.0]);
    let error = fixture.error(|json| json["annotations"][0]["bbox"] = json!([1e308, 1, 1e308, 3]));
    assert_says(&error, &["annotation 10", "4 finite numbers"]);
}

/// The orientation of an image's EXIF data decides which sizes fit.
#[test]
fn sizes_are_those_of_the_upright_image() {
    let fixture = Fixture::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/images");
    fs::copy(
        golden.join("turned6.jpg"),
        fixture.folder.path().join("photos/a.jpg"),
    )
    .unwrap();
    let sized = |width: u32, height: u32| {
        let dataset = fixture.changed(|json| {
            json["images"][0]["width"] = json!(width);
            json["images"][0]["height"] = json!(height);
        });
        dataset.unwrap().get(0)
    };
    let sample = sized(32, 48).unwrap();
    assert_eq!(sample.image.dimensions(), (32, 48));
    assert_eq!(fixture.config.check(Split::Val).unwrap().turned, 1);
    let parts = [
        "a.jpg is 32x48",
        "EXIF orientation",
        "said to be 48x32",
        "as it is stored",
    ];
    assert_says(&sized(48, 32).unwrap_err(), &parts);
    assert_says(&sized(48, 31).unwrap_err(), &["48x31", "the file is 32x48"]);
}

fn write_xml(root: &Path, id: &str, inner: &str) {
    write_image(&root.join(format!("VOC/JPEGImages/{id}.jpg")), 12, 8);
    for folder in ["Annotations", "ImageSets/Main"] {
        fs::create_dir_all(root.join("VOC").join(folder)).unwrap();
    }
    let text = format!("<annotation>{inner}</annotation>");
    fs::write(root.join(format!("VOC/Annotations/{id}.xml")), text).unwrap();
    fs::write(root.join("VOC/ImageSets/Main/list.txt"), format!("{id}\n")).unwrap();
}

const DOG: &str = "<object><name>dog</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>6</xmax>\
                   <ymax>4</ymax></bndbox></object>";

#[test]
fn an_xml_without_a_size_takes_that_of_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let voc = config(folder.path(), VOC);
    for size in [
        "",
        "<size></size>",
        "<size><width>0</width><height>0</height><depth>3</depth></size>",
        "<size><width>12.0</width><height>8.0</height></size>",
    ] {
        write_xml(folder.path(), "a", &format!("{size}{DOG}"));
        let sample = voc.open_detection(Split::Val).unwrap().get(0).unwrap();
        assert_eq!(sample.instances[0].bounds, [2.0, 1.0, 6.0, 4.0], "{size}");
    }
    fs::write(folder.path().join("VOC/JPEGImages/a.jpg"), "no image").unwrap();
    write_list_and_xml_only(folder.path(), DOG);
    let error = voc.open_detection(Split::Val).err().unwrap();
    assert_says(&error, &["a.xml", "`size` is missing", "a.jpg"]);
    write_xml(
        folder.path(),
        "a",
        "<size><width>wide</width><height>8</height></size>",
    );
    let error = voc.open_detection(Split::Val).err().unwrap();
    assert_says(
        &error,
        &["a.xml", "size: `width` = wide", "whole number of pixels"],
    );
}

fn write_list_and_xml_only(root: &Path, inner: &str) {
    let text = format!("<annotation>{inner}</annotation>");
    fs::write(root.join("VOC/Annotations/a.xml"), text).unwrap();
}

#[test]
fn faults_of_an_xml_name_the_object_and_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let voc = config(folder.path(), VOC);
    for (inner, parts) in [
        (
            "<object><bndbox><xmin>1</xmin></bndbox></object>",
            ["object 2", "`name` is missing"],
        ),
        (
            "<object><name>cat</name></object>",
            ["object 2 (`cat`)", "`bndbox` is missing"],
        ),
        (
            "<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><ymax>2</ymax></bndbox></object>",
            ["object 2 (`cat`)", "`xmax` is missing"],
        ),
    ] {
        write_xml(folder.path(), "a", &format!("{DOG}{inner}"));
        let error = voc.open_detection(Split::Val).err().unwrap();
        assert_says(&error, &["a.xml"]);
        assert_says(&error, &parts);
        assert_eq!(error.hint(), None, "{error}");
    }
}

#[test]
fn an_xml_may_have_another_ending_and_a_byte_order_mark() {
    let folder = tempfile::tempdir().unwrap();
    write_xml(folder.path(), "a", DOG);
    let annotations = folder.path().join("VOC/Annotations");
    let text = fs::read_to_string(annotations.join("a.xml")).unwrap();
    fs::remove_file(annotations.join("a.xml")).unwrap();
    fs::write(annotations.join("a.XML"), format!("\u{feff}{text}")).unwrap();
    let dataset = config(folder.path(), VOC)
        .open_detection(Split::Val)
        .unwrap();
    assert_eq!(dataset.get(0).unwrap().instances.len(), 1);
}

/// Everything in an annotation is optional, so another document must not be an image without objects.
#[test]
fn another_document_is_no_annotation() {
    let folder = tempfile::tempdir().unwrap();
    write_xml(folder.path(), "a", DOG);
    let path = folder.path().join("VOC/Annotations/a.xml");
    let voc = config(folder.path(), VOC);
    let root = ["a.xml", "expected `annotation`", "Pascal VOC XML"];
    let cases: [(String, &[&str]); 12] = [
        (
            "<html><body>404</body></html>".into(),
            &["root element is `html`"],
        ),
        (
            format!("<Annotation>{DOG}</Annotation>"),
            &["root element is `Annotation`"],
        ),
        (
            "<annotations><image><box label=\"dog\"/></image></annotations>".into(),
            &["root element is `annotations`"],
        ),
        (
            format!("<root><annotation>{DOG}</annotation></root>"),
            &["root element is `root`"],
        ),
        (DOG.into(), &["root element is `object`"]),
        (
            format!("<annotation><objects>{DOG}</objects></annotation>"),
            &[
                "`object` is in `annotation/objects`",
                "directly in `annotation`",
            ],
        ),
        (
            format!(
                "<annotation>{}</annotation>",
                DOG.replace("object", "Object")
            ),
            &["`bndbox` is in `annotation/Object`", "in an `object`"],
        ),
        (
            format!("<annotation/>\n<annotation>{DOG}</annotation>"),
            &[
                "`annotation` follows the end of `annotation`",
                "one file per image",
            ],
        ),
        (
            format!("<annotation>{DOG}</annotation>xxx"),
            &["text outside of `annotation`"],
        ),
        (
            format!("<annotation>{DOG}"),
            &["`annotation` is not closed", "truncated"],
        ),
        ("<?xml version=\"1.0\"?>\n".into(), &["it has no element"]),
        (String::new(), &["it has no element"]),
    ];
    for (text, parts) in cases {
        fs::write(&path, &text).unwrap();
        let error = voc.open_detection(Split::Val).err();
        let error = error.unwrap_or_else(|| panic!("read: {text}"));
        assert_says(&error, &["a.xml"]);
        assert_says(&error, parts);
        if error.to_string().contains("root element is") {
            assert_says(&error, &root);
        }
        let problems = voc.check(Split::Val).unwrap().problems;
        assert_eq!(problems[0].message, error.to_string());
    }
    // What an object holds besides is nobody's matter.
    let part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>";
    for text in [
        "<!-- of a tool --><annotation/>\n<!-- end -->".to_string(),
        format!("<?xml version=\"1.0\"?>\n<annotation>{DOG}</annotation>\n"),
        format!(
            "<annotation verified=\"yes\">{}</annotation>",
            DOG.replace("</object>", part)
        ),
    ] {
        fs::write(&path, &text).unwrap();
        assert!(voc.open_detection(Split::Val).is_ok(), "{text}");
    }
}

#[test]
fn difficult_has_the_forms_that_programs_write() {
    let folder = tempfile::tempdir().unwrap();
    let voc = config(folder.path(), VOC);
    for (text, expected) in [
        ("Unspecified", false),
        ("0.0", false),
        ("False", false),
        ("1.0", true),
        ("true", true),
        (" 1 ", true),
    ] {
        let object = DOG.replace("</name>", &format!("</name><difficult>{text}</difficult>"));
        write_xml(folder.path(), "a", &object);
        let sample = voc.open_detection(Split::Val).unwrap().get(0).unwrap();
        assert_eq!(sample.instances[0].is_difficult, expected, "{text}");
    }
    for text in ["2", "0.5", "yes"] {
        let object = DOG.replace("</name>", &format!("</name><difficult>{text}</difficult>"));
        write_xml(folder.path(), "a", &object);
        let error = voc.open_detection(Split::Val).err().unwrap();
        assert_says(&error, &["`difficult`", text, "expected 0 or 1"]);
    }
}

#[test]
fn an_xml_may_declare_a_western_encoding() {
    let folder = tempfile::tempdir().unwrap();
    write_xml(folder.path(), "a", DOG);
    let text = VOC.replace("\"dog\"", "\"caf\u{e9} \u{20ac}\"");
    let voc = config(folder.path(), &text);
    let path = folder.path().join("VOC/Annotations/a.xml");
    let write = |encoding: &str, name: &[u8]| {
        let (before, after) = DOG.split_once("dog").unwrap();
        let start = format!("<?xml version='1.0' encoding='{encoding}'?><annotation>{before}");
        let end = format!("{after}</annotation>");
        fs::write(&path, [start.as_bytes(), name, end.as_bytes()].concat()).unwrap();
        voc.open_detection(Split::Val)
    };
    for encoding in ["windows-1252", "ISO-8859-1", "Latin1"] {
        assert!(write(encoding, b"caf\xE9 \x80").is_ok(), "{encoding}");
        // Declared wrongly.
        assert!(write(encoding, "café €".as_bytes()).is_ok(), "{encoding}");
    }
    let error = write("utf-8", b"caf\xE9 \x80").err().unwrap();
    assert_says(&error, &["a.xml", "not UTF-8 text"]);
}
