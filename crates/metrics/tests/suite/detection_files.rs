//! Files of truths and detections: what is refused and how it is named, what may be left out.

use std::fs;

use gradway_metrics::detection::{Category, Detection, Listing};
use gradway_metrics::{DetectionError, GroundTruth, IouType};
use serde_json::{Value, json};

/// The error of a truth and detections as files.
fn file_error(truth: &str, detections: &str, iou: IouType) -> DetectionError {
    let folder = tempfile::tempdir().unwrap();
    let [truth_path, path] = ["truth.json", "found.json"].map(|name| folder.path().join(name));
    fs::write(&truth_path, truth).unwrap();
    fs::write(&path, detections).unwrap();
    GroundTruth::read(&truth_path)
        .and_then(|truth| truth.score_file(&path, iou))
        .unwrap_err()
}

fn truth_json() -> Value {
    json!({
        "images": [{"id": 5, "width": 20, "height": 10}, {"id": 6}],
        "categories": [{"id": 2, "name": "cat"}, {"id": 4}],
        "annotations": [{
            "id": 1, "image_id": 5, "category_id": 2, "iscrowd": 0, "area": 16,
            "bbox": [1, 1, 4, 4], "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]
        }]
    })
}

#[test]
fn files_that_cannot_be_scored_are_named_with_the_entry() {
    let truth = truth_json().to_string();
    let entry = r#"{"image_id": 5, "category_id": 2, "bbox": [1, 1, 4, 4], "score": 0.5}"#;
    let second = |wrong: &str| format!("[{entry}, {wrong}]");
    let with = |from: &str, to: &str| second(&entry.replace(from, to));
    for (detections, iou, expected) in [
        (
            with("0.5", "NaN"),
            IouType::Bbox,
            "found.json: detections[1] (image 5): score is missing or not a number",
        ),
        (
            with(r#", "score": 0.5"#, ""),
            IouType::Bbox,
            "detections[1] (image 5): score is missing",
        ),
        (
            with("[1, 1, 4, 4]", "[1, 1, 4]"),
            IouType::Bbox,
            "detections[1] (image 5): box is [1, 1, 4]; expected four finite numbers",
        ),
        (
            with("[1, 1, 4, 4]", "[1, 1, 4, Infinity]"),
            IouType::Bbox,
            "detections[1] (image 5): box is [1, 1, 4, ?]; expected four",
        ),
        (
            with("[1, 1, 4, 4]", "[]"),
            IouType::Bbox,
            "detections[1] (image 5): `bbox` is missing",
        ),
        (
            with("\"image_id\": 5", "\"image_id\": 9"),
            IouType::Bbox,
            "found.json: detections[1] (image 9): image 9 is not among the 2 images",
        ),
        (
            with("\"image_id\": 5", "\"image_id\": \"5\""),
            IouType::Bbox,
            "found.json is not a list of detections in COCO's format: entry 1: invalid type",
        ),
        (
            second("{"),
            IouType::Bbox,
            "found.json is not a list of detections in COCO's format: entry 1: key must be a string",
        ),
        (
            r#"{"annotations": []}"#.into(),
            IouType::Bbox,
            "found.json is not a list of detections",
        ),
        (
            second(entry),
            IouType::Segm,
            "detections[0] (image 5): `segmentation` is missing",
        ),
        (
            r#"[{"image_id": 6, "category_id": 2, "score": 1, "segmentation":
                 {"size": [10, 20], "counts": [200]}}]"#
                .into(),
            IouType::Segm,
            "detections[0] (image 6): image 6 has no width and height in the ground truth",
        ),
        (
            r#"[{"image_id": 5, "category_id": 2, "score": 1, "segmentation":
                 {"size": [20, 10], "counts": [200]}}]"#
                .into(),
            IouType::Segm,
            "detections[0] (image 5): mask is 10x20, but the image is 20x10",
        ),
        (
            r#"[{"image_id": 5, "category_id": 2, "score": 1, "segmentation":
                 {"size": [10, 20], "counts": "!"}}]"#
                .into(),
            IouType::Segm,
            "detections[0] (image 5): invalid RLE",
        ),
        (
            r#"[{"image_id": 5, "category_id": 2, "score": 1, "segmentation": [[1, 1, 4, 4]]}]"#
                .into(),
            IouType::Segm,
            "detections[0] (image 5): polygon 0 has 4 numbers",
        ),
    ] {
        let error = file_error(&truth, &detections, iou).to_string();
        assert!(error.contains(expected), "{error}\n{expected}");
    }
}

type Change<'a> = &'a dyn Fn(&mut Value);

#[test]
fn a_truth_that_cannot_be_scored_against_is_named_with_the_entry() {
    let wrong = |change: Change<'_>, iou: IouType| {
        let mut truth = truth_json();
        change(&mut truth);
        file_error(&truth.to_string(), "[]", iou).to_string()
    };
    let annotation = |key: &'static str, value: Value| {
        move |truth: &mut Value| truth["annotations"][0][key] = value.clone()
    };
    let image = |truth: &mut Value| truth["images"][1]["id"] = json!(5);
    let category = |truth: &mut Value| truth["categories"][1]["id"] = json!(2);
    let no_images = |truth: &mut Value| {
        truth.as_object_mut().unwrap().remove("images");
    };
    let huge = |truth: &mut Value| {
        truth["images"][0] = json!({"id": 5, "width": 70000, "height": 70000});
    };
    let cases: [(Change<'_>, IouType, &str); 10] = [
        (
            &huge,
            IouType::Segm,
            "annotations[0] (image 5): an image of 70000x70000 has more pixels",
        ),
        (
            &annotation("image_id", json!(7)),
            IouType::Bbox,
            "truth.json: annotations[0] (image 7): image 7 is not among the 2",
        ),
        (
            &annotation("category_id", json!(3)),
            IouType::Bbox,
            "annotations[0] (image 5): category 3 is not among the 2",
        ),
        (
            &annotation("bbox", json!([1, 2, 3, 4, 5])),
            IouType::Bbox,
            "annotations[0] (image 5): box is [1, 2, 3, 4, 5]; expected four",
        ),
        (
            &annotation("bbox", Value::Null),
            IouType::Bbox,
            "truth.json: annotations[0] (image 5): `bbox` is missing",
        ),
        (
            &annotation("segmentation", json!([])),
            IouType::Segm,
            "truth.json: annotations[0] (image 5): `segmentation` is missing",
        ),
        (
            &annotation("image_id", json!(6)),
            IouType::Segm,
            "annotations[0] (image 6): image 6 has no width and height in the ground truth",
        ),
        (&image, IouType::Bbox, "truth.json: image 5 occurs twice"),
        (
            &category,
            IouType::Bbox,
            "truth.json: category 2 occurs twice",
        ),
        (
            &no_images,
            IouType::Bbox,
            "truth.json is not a ground truth in COCO's format: missing field `images`",
        ),
    ];
    for (change, iou, expected) in cases {
        let error = wrong(change, iou);
        assert!(error.contains(expected), "{error}\n{expected}");
    }
    let error = GroundTruth::read("nowhere.json".as_ref()).err().unwrap();
    assert!(error.to_string().starts_with("cannot read nowhere.json"));
}

#[test]
fn a_list_without_entries_and_objects_without_areas_are_scored() {
    let folder = tempfile::tempdir().unwrap();
    let [truth_path, path] = ["truth.json", "found.json"].map(|name| folder.path().join(name));
    let mut truth = truth_json();
    let annotation = truth["annotations"][0].as_object_mut().unwrap();
    annotation.remove("area");
    annotation.remove("id");
    fs::write(&truth_path, truth.to_string()).unwrap();
    fs::write(&path, "[]").unwrap();
    let truth = GroundTruth::read(&truth_path).unwrap();
    assert_eq!((truth.images(), truth.objects()), (2, 1));
    for iou in [IouType::Bbox, IouType::Segm] {
        let scores = truth.score_file(&path, iou).unwrap().scores;
        assert_eq!(scores.ap_small, Some(0.0));
        assert_eq!((scores.ap_medium, scores.ap_large), (None, None));
        assert_eq!(scores.classes[1].name, "category 4");
    }
}

/// The truth of a file.
fn truth_of(text: &str) -> Result<GroundTruth, DetectionError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.json");
    fs::write(&path, text).unwrap();
    let more = [2, 3].map(|id| Category {
        id,
        name: format!("of the model {id}"),
    });
    GroundTruth::read_among(&path, &more)
}

#[test]
fn a_byte_order_mark_and_parts_of_two_corners_are_no_fault() {
    let mut truth = truth_json();
    truth["annotations"][0]["segmentation"] = json!([[1, 1, 5, 5], [1, 1, 5, 1, 5, 5, 1, 5]]);
    let mut line = truth["annotations"][0].clone();
    line["segmentation"] = json!([[1, 1, 5, 5]]);
    truth["annotations"].as_array_mut().unwrap().push(line);
    let truth = truth_of(&format!("\u{feff}{truth}")).unwrap();
    assert_eq!(truth.objects(), 1);
    truth.require(IouType::Bbox).unwrap();
    truth.require(IouType::Segm).unwrap();
}

#[test]
fn a_missing_mask_is_told_without_detections() {
    let mut truth = truth_json();
    truth["annotations"][0]["segmentation"] = json!(null);
    let truth = truth_of(&truth.to_string()).unwrap();
    truth.require(IouType::Bbox).unwrap();
    let error = truth.require(IouType::Segm).unwrap_err().to_string();
    assert!(
        error.contains("annotations[0]") && error.contains("`segmentation`"),
        "{error}"
    );
}

/// A category of the model that the file lacks: its detections are known, and change no mean.
#[test]
fn categories_of_a_model_may_lack_in_a_file() {
    let found = |category_id: u64| Detection {
        image_id: 5,
        category_id,
        bbox: [1.0, 1.0, 4.0, 4.0],
        score: 0.5,
        segmentation: None,
    };
    let truth = truth_of(&truth_json().to_string()).unwrap();
    let scores = truth.score(&[found(2), found(3)], IouType::Bbox).unwrap();
    // Precision is a ratio of sums that guard against zero by an epsilon.
    let precision = scores.average_precision.unwrap();
    assert!((precision - 1.0).abs() < 1e-12, "{precision}");
    let defined = scores
        .classes
        .iter()
        .map(|class| (class.category_id, class.average_precision.is_some()));
    let defined: Vec<_> = defined.collect();
    assert_eq!(defined, [(2, true), (3, false), (4, false)]);
    // The file's own name stays.
    assert_eq!(scores.classes[0].name, "cat");
    assert!(truth.score(&[found(7)], IouType::Bbox).is_err());
}

/// pycocotools looks only at the categories of the truth.
#[test]
fn detections_in_a_file_of_categories_that_the_truth_lacks_are_not_scored() {
    let folder = tempfile::tempdir().unwrap();
    let [truth_path, path] = ["truth.json", "found.json"].map(|name| folder.path().join(name));
    fs::write(&truth_path, truth_json().to_string()).unwrap();
    let truth = GroundTruth::read(&truth_path).unwrap();
    let score = |categories: &[u64]| {
        let found = categories.iter().map(
            |id| json!({"image_id": 5, "category_id": id, "bbox": [1, 1, 4, 4], "score": 0.5}),
        );
        fs::write(&path, Value::from_iter(found).to_string()).unwrap();
        truth.score_file(&path, IouType::Bbox).unwrap()
    };
    let plain = score(&[2]);
    let more = score(&[3, 2, 0]);
    assert_eq!((plain.unscored, more.unscored), (0, 2));
    assert_eq!(plain.scores, more.scores);
    assert_eq!(score(&[3]).scores.average_precision, Some(0.0));
}

#[test]
fn a_listing_is_read_as_leniently_as_a_truth() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.json");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        Listing::read(&path)
    };
    let text = r#"{"images": [{"id": 7.0, "file_name": "a\\1.png"}],
        "annotations": [{"area": NaN}], "categories": [{"id": 2.0, "name": "cat"}, {"id": 3}]}"#;
    let listing = read(&format!("\u{feff}{text}")).unwrap();
    assert_eq!(listing.images[0].id, 7);
    assert_eq!(listing.images[0].file_name, "a\\1.png");
    let names = listing.categories.iter().map(|one| one.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["cat", ""]);
    assert_eq!(read(r#"{"images": []}"#).unwrap().categories, []);
    let error = read(r#"{"images": [{"id": 1}]}"#).unwrap_err().to_string();
    let expected = "list.json is not a list of images in COCO's annotation format: entry 0: missing field `file_name`";
    assert!(error.contains(expected), "{error}");
}
