//! Tests of errors in annotation files.

use serde_json::{Value, json};

use super::*;
use crate::detection::Shape;

/// Two images, two categories out of order, and these annotations.
fn file(annotations: Value) -> Value {
    json!({
        "info": { "year": 2017 },
        "images": [
            { "id": 30, "file_name": "b.jpg", "width": 20, "height": 10, "license": 1 },
            { "id": 7, "file_name": "a.jpg", "width": 8, "height": 6 },
        ],
        "annotations": annotations,
        "categories": [{ "id": 9, "name": "dog" }, { "id": 2, "name": "cat", "supercategory": "x" }],
    })
}

/// An annotation of image 7 with one key changed.
fn annotation(id: u64, key: &str, value: Value) -> Value {
    let mut annotation = json!({
        "id": id, "image_id": 7, "category_id": 9, "bbox": [1.0, 2.0, 3.5, 2.5], "iscrowd": 0,
        "segmentation": [[1, 2, 4.5, 2, 4.5, 4.5]], "area": 4.375,
    });
    annotation[key] = value;
    annotation
}

fn parsed(annotations: Value) -> Parsed {
    parse(&file(annotations).to_string()).unwrap()
}

fn message(file: &Value) -> String {
    parse(&file.to_string()).unwrap_err().to_string()
}

#[test]
fn categories_are_in_the_order_of_their_identifiers() {
    let parsed = parsed(json!([annotation(5, "category_id", json!(9))]));
    assert_eq!(parsed.classes, ["cat", "dog"]);
    assert_eq!(parsed.category_ids, [2, 9]);
    assert_eq!((parsed.images[0].id, parsed.images[1].id), (30, 7));
    assert_eq!(parsed.images[0].size, (20, 10));
    assert!(parsed.images[0].objects.is_empty());
    let object = &parsed.images[1].objects[0];
    assert_eq!((object.id, object.class), (5, 1));
    assert_eq!(object.bounds, [1.0, 2.0, 4.5, 4.5]);
    assert!(!object.is_crowd && !object.is_difficult);
}

#[test]
fn every_form_of_a_mask_is_read() {
    let shape = |value: Value| {
        let parsed = parsed(json!([annotation(5, "segmentation", value)]));
        parsed.images[1].objects[0].shape.clone()
    };
    let polygon = vec![1.0, 2.0, 4.5, 2.0, 4.5, 4.5];
    let polygons = shape(json!([polygon.clone()]));
    assert_eq!(polygons, Some(Shape::Polygons(vec![polygon])));
    let size = [6, 8];
    let (counts, text) = (vec![40, 8], "X18".to_string());
    let runs = shape(json!({ "size": size, "counts": counts }));
    assert_eq!(runs, Some(Shape::Runs { size, counts }));
    let compressed = shape(json!({ "counts": text, "size": size }));
    assert_eq!(compressed, Some(Shape::Text { size, counts: text }));
    assert_eq!(shape(json!([])), None);
    assert_eq!(shape(Value::Null), None);
    let mut bare = annotation(5, "iscrowd", json!(1));
    bare.as_object_mut().unwrap().remove("segmentation");
    let object = parsed(json!([bare])).images[1].objects.remove(0);
    assert_eq!((object.shape, object.is_crowd), (None, true));
}

#[test]
fn what_is_left_out_is_counted_by_identifier() {
    let parsed = parsed(json!([
        annotation(1, "bbox", json!([-3, 1, 5, 20])),
        annotation(2, "bbox", json!([8, 1, 5, 2])),
        annotation(3, "bbox", json!([1, 1, 0, 2])),
        annotation(4, "bbox", json!([1, 1, -2, 2])),
        annotation(5, "segmentation", json!([[1, 1, 4, 4], []])),
        annotation(6, "segmentation", json!([[1, 1, 4, 4], [1, 2, 4, 2, 4, 4]])),
    ]));
    let objects = &parsed.images[1].objects;
    let kept: Vec<u64> = objects.iter().map(|object| object.id).collect();
    assert_eq!(kept, [1, 6]);
    assert_eq!(objects[0].bounds, [0.0, 1.0, 2.0, 6.0]);
    let skipped = parsed.skipped;
    assert_eq!(skipped.outside.examples, ["2"]);
    assert_eq!(skipped.without_area.examples, ["3", "4"]);
    assert_eq!(skipped.without_polygon.examples, ["5"]);
    assert_eq!(skipped.annotations(), 4);
}

#[test]
fn references_that_lead_nowhere_name_the_annotation() {
    assert_eq!(
        message(&file(json!([annotation(5, "image_id", json!(8))]))),
        "annotation 5: image 8 is not among the 2 images of the file"
    );
    assert_eq!(
        message(&file(json!([annotation(5, "category_id", json!(1))]))),
        "annotation 5: category 1 is not among the 2 classes (2 cat, 9 dog)"
    );
}

#[test]
fn identifiers_must_be_unique() {
    let same = annotation(5, "iscrowd", json!(0));
    let found = message(&file(json!([same, same])));
    assert!(found.contains("annotation 5 occurs twice"), "{found}");
    let mut twice = file(json!([]));
    twice["images"][1]["id"] = json!(30);
    let found = message(&twice);
    assert!(
        found.contains("image 30 occurs twice: `b.jpg` and `a.jpg`"),
        "{found}"
    );
    let mut twice = file(json!([]));
    twice["categories"][1]["id"] = json!(9);
    let found = message(&twice);
    assert!(
        found.contains("category 9 occurs twice: `dog` and `cat`"),
        "{found}"
    );
}

#[test]
fn a_box_is_four_finite_numbers() {
    for wrong in [
        "[1, 2, 3]",
        "[1, 2, 3, 4, 5]",
        "[1, 2, null, 4]",
        "[1, 2, 1e999, 4]",
        "[1, 2, \"3\", 4]",
        "\"1 2 3 4\"",
        "null",
    ] {
        let text = file(json!([annotation(5, "bbox", json!("BOX"))])).to_string();
        let text = text.replace("\"BOX\"", wrong);
        let found = parse(&text).unwrap_err().to_string();
        let expected = "4 finite numbers: left, top, width, height";
        let expected = format!("annotation 5: box {wrong}: expected {expected}");
        // The values are shown as they are written.
        assert_eq!(found, expected);
    }
}

#[test]
fn other_values_that_make_no_sense_name_the_annotation() {
    for (key, value, part) in [
        ("segmentation", json!("none"), "expected polygons, or runs"),
        ("segmentation", json!([[1, 2, "x"]]), "invalid type"),
        ("segmentation", json!([[1, 2, 4, 2, 4, 4, 5]]), "7 numbers"),
        ("segmentation", json!([[1, 2, 4, 2, null, 4]]), "null"),
        ("segmentation", json!({ "size": [6, 8] }), "`counts`"),
        (
            "segmentation",
            json!({ "size": [6], "counts": [48] }),
            "length 1",
        ),
        (
            "segmentation",
            json!({ "size": [6, 8], "counts": [-1] }),
            "`counts` = -1",
        ),
        ("iscrowd", json!(2), "`iscrowd` = 2: expected 0 or 1"),
        ("iscrowd", json!("no"), "`iscrowd` = \"no\""),
    ] {
        let found = message(&file(json!([annotation(5, key, value)])));
        assert!(found.starts_with("annotation 5: "), "{found}");
        assert!(found.contains(part), "{found}");
    }
}

#[test]
fn a_file_that_is_no_coco_json_says_where() {
    let fault = |text: &str| parse(text).unwrap_err();
    assert!(fault("{\"images\": [").to_string().contains("line 1"));
    assert!(fault("{}").to_string().contains("missing field `images`"));
    let not_a_number = fault("{\"images\": [NaN]}");
    assert!(not_a_number.hint().unwrap().contains("NaN"));
    let mut empty = file(json!([]));
    empty["categories"] = json!([]);
    assert!(message(&empty).contains("no categories"));
    let mut flat = file(json!([]));
    flat["images"][0]["height"] = json!(0);
    assert!(message(&flat).contains("image 30 (`b.jpg`): its size is 20x0"));
    assert!(parse(&format!("\u{feff}{}", file(json!([])))).is_ok());
}
