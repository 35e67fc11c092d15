//! The formats of detection: what they read, what they refuse, and what they report.

use std::fs;
use std::path::Path;

use crate::common::{assert_says, config, write_image};
use gradway_data::detection::DetectionDataset;
use gradway_data::{DataError, DatasetConfig, Split, TaskKind, check_detection, table};
use serde_json::{Value, json};

const COCO: &str = "format = \"coco\"\nroot = \"ROOT\"\n";
const VOC: &str = "format = \"pascal_voc_detection\"\nroot = \"ROOT\"\n";

/// Three images of 12x8: one with two objects and a crowd, one empty, one with a crowd alone.
fn coco_json() -> Value {
    let image = |id: u64| json!({ "id": id, "file_name": format!("{id:04}.jpg"), "width": 12, "height": 8 });
    let object = |id: u64, image: u64, category: u64, segmentation: Value, crowd: u8| {
        json!({
            "id": id, "image_id": image, "category_id": category, "bbox": [2, 1, 4, 3],
            "segmentation": segmentation, "iscrowd": crowd, "area": 12,
        })
    };
    let square = json!([[2, 1, 6, 1, 6, 4, 2, 4]]);
    let runs = json!({ "size": [8, 12], "counts": [17, 3, 5, 3, 68] });
    json!({
        "images": [image(4), image(9), image(11)],
        "annotations": [
            object(100, 4, 3, square.clone(), 0),
            object(101, 4, 18, runs.clone(), 1),
            object(102, 11, 3, runs, 1),
            object(103, 4, 18, json!({ "size": [8, 12], "counts": "a0350o1" }), 0),
        ],
        "categories": [{ "id": 18, "name": "dog" }, { "id": 3, "name": "car" }],
    })
}

fn write_coco(root: &Path, json: &Value) {
    for split in ["train2017", "val2017"] {
        for id in [4, 9, 11] {
            write_image(&root.join(format!("{split}/{id:04}.jpg")), 12, 8);
        }
        let path = root.join(format!("annotations/instances_{split}.json"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, json.to_string()).unwrap();
    }
}

fn open(config: &DatasetConfig, split: Split) -> std::sync::Arc<dyn DetectionDataset> {
    let opened = config.open_detection(split);
    opened.unwrap_or_else(|error| panic!("{error}"))
}

fn open_error(config: &DatasetConfig, split: Split) -> DataError {
    match config.open_detection(split) {
        Ok(dataset) => panic!("opened {} samples", dataset.len()),
        Err(error) => error,
    }
}

/// The error of a validation split whose annotations were changed.
fn coco_error(change: impl Fn(&mut Value)) -> (DataError, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut json = coco_json();
    change(&mut json);
    write_coco(folder.path(), &json);
    let config = config(folder.path(), COCO);
    let error = match config.open_detection(Split::Val) {
        Ok(dataset) => dataset.get(0).unwrap_err(),
        Err(error) => error,
    };
    (error, folder)
}

#[test]
fn coco_reads_boxes_polygons_runs_and_crowds() {
    let folder = tempfile::tempdir().unwrap();
    write_coco(folder.path(), &coco_json());
    let dataset = open(&config(folder.path(), COCO), Split::Val);
    assert_eq!((dataset.name(), dataset.len()), ("coco", 3));
    assert_eq!(dataset.classes(), ["car", "dog"]);
    assert_eq!(dataset.category_ids(), [3, 18]);
    assert_eq!(dataset.palette().len(), 2);
    let file = dataset.annotation_file().unwrap();
    assert!(file.ends_with("annotations/instances_val2017.json"));
    assert_eq!((dataset.id(0), dataset.id(3)), ("0004".into(), "".into()));
    let sample = dataset.get(0).unwrap();
    assert_eq!((sample.id.as_str(), sample.image_id), ("0004", 4));
    assert_eq!(sample.image.dimensions(), (12, 8));
    let ids: Vec<u64> = sample.instances.iter().map(|i| i.id).collect();
    assert_eq!(ids, [100, 101, 103]);
    let classes: Vec<usize> = sample.instances.iter().map(|i| i.class).collect();
    assert_eq!(classes, [0, 1, 1]);
    let crowds: Vec<bool> = sample.instances.iter().map(|i| i.is_crowd).collect();
    assert_eq!(crowds, [false, true, false]);
    for instance in &sample.instances {
        assert_eq!(instance.bounds, [2.0, 1.0, 6.0, 4.0]);
        let mask = instance.mask.as_ref().unwrap();
        assert_eq!(mask.image_size(), (12, 8));
        // Columns of three pixels: four of the polygon, two of the runs.
        let width = if instance.id == 100 { 4 } else { 2 };
        let region = (mask.x(), mask.y(), mask.width(), mask.height());
        assert_eq!(region, (2, 1, width, 3));
        assert_eq!(mask.area(), 3 * u64::from(width));
    }
    assert!(dataset.get(1).unwrap().instances.is_empty());
    let error = dataset.get(3).unwrap_err();
    assert_says(&error, &["sample index 3", "`coco`", "3 samples"]);
}

#[test]
fn coco_trains_on_images_with_an_object() {
    let folder = tempfile::tempdir().unwrap();
    write_coco(folder.path(), &coco_json());
    let dataset = open(&config(folder.path(), COCO), Split::Train);
    assert_eq!(dataset.len(), 1);
    let skipped = dataset.skipped();
    assert_eq!(skipped.empty_images.examples, ["0009", "0011"]);
    assert!(!skipped.is_empty() && skipped.annotations() == 0);
    let keep = format!("{COCO}keep_empty = true");
    let dataset = open(&config(folder.path(), &keep), Split::Train);
    assert_eq!(dataset.len(), 3);
    assert!(dataset.skipped().is_empty());

    let mut json = coco_json();
    json["annotations"] = json!([]);
    write_coco(folder.path(), &json);
    let error = open_error(&config(folder.path(), COCO), Split::Train);
    assert_says(&error, &["`train` is empty", "images with an object"]);
}

#[test]
fn coco_takes_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_image(&root.join("photos/0004.jpg"), 12, 8);
    write_image(&root.join("photos/0009.jpg"), 12, 8);
    write_image(&root.join("photos/0011.jpg"), 12, 8);
    fs::write(root.join("val.json"), coco_json().to_string()).unwrap();
    let text = format!("{COCO}val_images = \"photos\"\nval_annotations = \"val.json\"");
    assert_eq!(open(&config(root, &text), Split::Val).len(), 3);
    let error = open_error(&config(root, &text), Split::Train);
    assert_says(&error, &["train2017 does not exist", "`coco`"]);
    let text = format!("{COCO}val_images = \"photos\"");
    let error = open_error(&config(root, &text), Split::Val);
    assert_says(&error, &["annotation file", "instances_val2017.json"]);
}

#[test]
fn coco_names_the_file_and_the_annotation() {
    let file = "instances_val2017.json";
    let (error, _folder) = coco_error(|json| json["annotations"][1]["image_id"] = json!(5));
    assert_says(
        &error,
        &[file, "annotation 101", "image 5", "list those images"],
    );
    let (error, _folder) = coco_error(|json| json["annotations"][1]["category_id"] = json!(1));
    assert_says(&error, &[file, "annotation 101", "category 1"]);
    let (error, _folder) = coco_error(|json| json["annotations"][1]["id"] = json!(100));
    assert_says(&error, &[file, "annotation 100 occurs twice"]);
    let (error, _folder) = coco_error(|json| json["images"][1]["id"] = json!(4));
    assert_says(&error, &[file, "image 4 occurs twice"]);
    let (error, _folder) = coco_error(|json| json["annotations"][1]["bbox"] = json!([1, 2, 3]));
    assert_says(&error, &[file, "annotation 101: box [1,2,3]"]);
    let (error, _folder) = coco_error(|json| *json = json!("nothing"));
    assert_says(&error, &[file, "not valid COCO JSON", "line 1"]);

    // Masks are decoded with their sample.
    let size = json!({ "size": [12, 8], "counts": [96] });
    let (error, _folder) = coco_error(|json| json["annotations"][1]["segmentation"] = size.clone());
    assert_says(&error, &[file, "annotation 101", "8x12", "image 4 is 12x8"]);
    let (error, _folder) =
        coco_error(|json| json["annotations"][3]["segmentation"]["counts"] = json!("a0350"));
    assert_says(&error, &[file, "annotation 103", "add up to", "12x8 = 96"]);
    let (error, _folder) =
        coco_error(|json| json["annotations"][1]["segmentation"]["counts"] = json!([90, 7]));
    assert_says(&error, &[file, "annotation 101", "add up to 97"]);
}

#[test]
fn coco_needs_every_image_and_their_stated_sizes() {
    let folder = tempfile::tempdir().unwrap();
    write_coco(folder.path(), &coco_json());
    let image = |id: u64| folder.path().join(format!("val2017/{id:04}.jpg"));
    write_image(&image(4), 8, 12);
    let config = config(folder.path(), COCO);
    let error = open(&config, Split::Val).get(0).unwrap_err();
    let parts = [
        "instances_val2017.json",
        "0004.jpg",
        "12x8",
        "the file is 8x12",
    ];
    assert_says(&error, &parts);

    fs::remove_file(image(9)).unwrap();
    fs::remove_file(image(11)).unwrap();
    let error = open_error(&config, Split::Val);
    let parts = [
        "image 9 of",
        "instances_val2017.json",
        "val2017/0009.jpg",
        "2 of 3",
    ];
    assert_says(&error, &parts);

    let report = config.check(Split::Val).unwrap();
    assert_eq!((report.samples, report.readable), (3, 0));
    let ids: Vec<&str> = report.problems.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["0004", "0009", "0011"]);
}

#[test]
fn a_dataset_opens_for_its_own_task_alone() {
    let folder = tempfile::tempdir().unwrap();
    // Before anything is looked for: there is nothing.
    for format in table() {
        if format.name == "folder" {
            continue;
        }
        let text = match format.name {
            "synthetic" => "format = \"synthetic\"".into(),
            name => format!("format = \"{name}\"\nroot = \"ROOT\""),
        };
        let config = config(folder.path(), &text);
        let error = match format.tasks {
            [TaskKind::Detection] => config.open(Split::Val).map(|_| ()),
            _ => config.open_detection(Split::Val).map(|_| ()),
        };
        let (found, expected, other) = match format.tasks {
            [TaskKind::Detection] => ("a detection", "for segmentation", "ade20k"),
            [TaskKind::Segmentation] => ("a segmentation", "for detection", "coco"),
            [TaskKind::MultiTask] => ("a multi_task", "for detection", "coco"),
            _ => ("a segmentation and multi_task", "for detection", "coco"),
        };
        let parts = [format.name, found, expected, other];
        assert_says(&error.unwrap_err(), &parts);
    }
    assert_eq!(
        serde_json::to_value(TaskKind::Detection).unwrap(),
        "detection"
    );
}

fn write_voc(root: &Path, year: &str, id: &str, objects: &str) {
    let folder = root.join(year);
    write_image(&folder.join(format!("JPEGImages/{id}.jpg")), 12, 8);
    fs::create_dir_all(folder.join("Annotations")).unwrap();
    let size = "<size><width>12</width><height>8</height><depth>3</depth></size>";
    let text = format!("<annotation>{size}{objects}</annotation>");
    fs::write(folder.join(format!("Annotations/{id}.xml")), text).unwrap();
}

fn voc_object(name: &str, difficult: u8, [xmin, ymin, xmax, ymax]: [u32; 4]) -> String {
    format!(
        "<object><name>{name}</name><pose>Left</pose><difficult>{difficult}</difficult><bndbox>\
         <xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>\
         </object>"
    )
}

fn write_list(root: &Path, list: &str, ids: &str) {
    let (year, name) = list.split_once('/').unwrap();
    let folder = root.join(year).join("ImageSets/Main");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.txt")), ids).unwrap();
}

fn voc_fixture(root: &Path) {
    let cat = voc_object("cat", 0, [1, 1, 12, 8]);
    let dog = voc_object("dog", 1, [3, 2, 6, 4]);
    let outside = voc_object("dog", 0, [13, 2, 16, 4]);
    write_voc(root, "VOC2007", "000005", &format!("{cat}{outside}{dog}"));
    write_voc(root, "VOC2007", "000007", &cat);
    write_voc(root, "VOC2012", "2008_000002", &dog);
    write_list(root, "VOC2007/trainval", "000005\n");
    write_list(root, "VOC2007/test", "000007\n");
    write_list(root, "VOC2012/trainval", "2008_000002\n");
}

#[test]
fn voc_joins_the_years() {
    let folder = tempfile::tempdir().unwrap();
    voc_fixture(folder.path());
    let config = config(folder.path(), VOC);
    let dataset = open(&config, Split::Train);
    assert_eq!(dataset.len(), 2);
    assert_eq!(dataset.classes().len(), 20);
    assert_eq!(dataset.classes()[0], "aeroplane");
    assert_eq!(dataset.palette()[0], [128, 0, 0]);
    assert_eq!(dataset.category_ids()[19], 20);
    assert!(dataset.annotation_file().is_none());
    let first = dataset.get(0).unwrap();
    assert_eq!((first.id.as_str(), first.image_id), ("000005", 0));
    assert_eq!(first.instances[0].bounds, [0.0, 0.0, 12.0, 8.0]);
    assert_eq!(first.instances[1].bounds, [2.0, 1.0, 6.0, 4.0]);
    let names = first.instances.iter().map(|i| &dataset.classes()[i.class]);
    assert_eq!(names.collect::<Vec<_>>(), ["cat", "dog"]);
    assert!(first.instances[0].is_trained_on());
    assert!(first.instances[1].is_difficult && !first.instances[1].is_trained_on());
    assert!(first.instances.iter().all(|i| i.mask.is_none()));
    let second = dataset.get(1).unwrap();
    assert_eq!((second.id.as_str(), second.image_id), ("2008_000002", 1));
    // Numbered through, the one that was left out too.
    let ids = first.instances.iter().chain(&second.instances);
    assert_eq!(ids.map(|i| i.id).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(dataset.skipped().outside.examples, ["object 2 of 000005"]);
    assert_eq!(open(&config, Split::Val).len(), 1);
}

#[test]
fn voc_names_the_file_and_the_object() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    voc_fixture(root);
    let voc = config(root, VOC);
    let cow = voc_object("cow", 0, [1, 1, 3, 3]);
    let error = |objects: &str| {
        write_voc(root, "VOC2007", "000007", objects);
        open_error(&voc, Split::Val)
    };
    let unicorn = cow.replace("cow", "unicorn");
    let parts = ["000007.xml", "object 2", "`unicorn`", "20 classes"];
    assert_says(&error(&format!("{cow}{unicorn}")), &parts);
    let wrong = cow.replace("<xmax>3", "<xmax>three");
    let parts = ["000007.xml", "object 1 (`cow`)", "[1, 1, three, 3]"];
    assert_says(&error(&wrong), &parts);
    let parts = ["000007.xml", "not valid Pascal VOC XML"];
    assert_says(&error("<object>"), &parts);
    let report = voc.check(Split::Val).unwrap();
    assert_eq!((report.samples, report.readable), (1, 0));
    assert!(report.problems[0].message.contains("000007.xml"));
    fs::remove_file(root.join("VOC2007/Annotations/000007.xml")).unwrap();
    let parts = ["000007.xml", "does not exist", "same stem"];
    assert_says(&open_error(&voc, Split::Val), &parts);

    write_list(root, "VOC2007/test", "000005\n000009\n");
    let parts = ["`000009`", "test.txt", "000009.jpg"];
    assert_says(&open_error(&voc, Split::Val), &parts);
    let lists = |lists: &str| config(root, &format!("{VOC}val_lists = {lists}"));
    let parts = ["data.val_lists", "\"trainval\"", "FOLDER/LIST"];
    assert_says(&open_error(&lists("[\"trainval\"]"), Split::Val), &parts);
    let parts = ["data.val_lists", "at least one list"];
    assert_says(&open_error(&lists("[]"), Split::Val), &parts);
    write_voc(root, "VOC2012", "000005", &cow);
    write_list(root, "VOC2012/val", "000005\n");
    let twice = lists("[\"VOC2007/trainval\", \"VOC2012/val\"]");
    let parts = ["`000005` occurs twice", "VOC2007", "VOC2012"];
    assert_says(&open_error(&twice, Split::Val), &parts);
    let one_class = config(root, &format!("{VOC}classes = [\"cow\", \"cow\"]"));
    let parts = ["`cow` is both class 0 and class 1"];
    assert_says(&open_error(&one_class, Split::Val), &parts);
}

#[test]
fn check_counts_objects() {
    let folder = tempfile::tempdir().unwrap();
    let mut json = coco_json();
    json["annotations"][0]["bbox"] = json!([2, 1, 0, 3]);
    json["annotations"][3]["segmentation"]["counts"] = json!([96]);
    write_coco(folder.path(), &json);
    fs::write(folder.path().join("val2017/0009.jpg"), b"\xFF\xD8 broken").unwrap();
    let report = config(folder.path(), COCO).check(Split::Val).unwrap();
    assert_eq!((report.samples, report.readable), (3, 2));
    assert_eq!((report.problems[0].index, report.sizes.len()), (1, 1));
    assert!(report.labels.is_empty());
    let instances = report.instances.as_ref().unwrap();
    assert_eq!((instances.instances, instances.with_mask), (3, 3));
    assert_eq!((instances.empty_masks, instances.crowds), (1, 2));
    assert_eq!((instances.difficult, instances.empty), (0, 0));
    let classes: Vec<_> = instances.classes.iter().collect();
    assert_eq!((classes[0].samples, classes[0].instances), (1, 1));
    assert_eq!((classes[1].samples, classes[1].instances), (1, 2));
    assert_eq!(instances.skipped.without_area.examples, ["100"]);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["task"], "detection");
    assert_eq!(json["instances"]["classes"][1]["name"], "dog");
    assert_eq!(json["instances"]["skipped"]["without_area"]["count"], 1);
}

#[test]
fn configurations_survive_a_round_trip() {
    for text in [COCO, VOC] {
        let config = config(Path::new("somewhere"), text);
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<DatasetConfig>(&written).unwrap(), config);
    }
    let unknown = format!("{COCO}train_image = \"a\"");
    let error = toml::from_str::<DatasetConfig>(&unknown).unwrap_err();
    assert!(error.to_string().contains("train_image"));
}

/// The real datasets, where they are.
#[test]
fn real_datasets_are_as_described() {
    let Some(root) = std::env::var_os("GRADWAY_DATA").map(std::path::PathBuf::from) else {
        return;
    };
    let pennfudan = format!(
        "{COCO}train_images = \"train\"\nval_images = \"val\"\n\
         train_annotations = \"annotations/instances_train.json\"\n\
         val_annotations = \"annotations/instances_val.json\""
    );
    // Images, objects and crowds of each split, and classes.
    let expected = [
        ("coco_mini", COCO, [(80, 739, 8), (79, 624, 5)], 80),
        ("pennfudan", &pennfudan, [(136, 339, 0), (34, 84, 0)], 1),
    ];
    for (name, text, counts, classes) in expected {
        let root = root.join(name);
        if !root.is_dir() {
            continue;
        }
        for (split, (images, objects, crowds)) in [Split::Train, Split::Val].into_iter().zip(counts)
        {
            let dataset = open(&config(&root, text), split);
            assert_eq!((dataset.len(), dataset.classes().len()), (images, classes));
            let report = check_detection(dataset.as_ref());
            assert_eq!(report.problems, [], "{name} {}", split.name());
            let found = report.instances.unwrap();
            assert!(found.skipped.is_empty(), "{name}: {}", found.skipped);
            assert_eq!((found.instances, found.crowds), (objects, crowds));
            assert_eq!((found.with_mask, found.empty), (objects, 0));
        }
    }
}
