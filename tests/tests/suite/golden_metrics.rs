//! Mean intersection over union against scikit-learn.

use gradway_metrics::ConfusionMatrix;
use gradway_tests::golden_path;
use serde_json::Value;

/// Integers and one division leave nothing to round.
const TOLERANCE: f64 = 1e-12;

fn golden() -> Value {
    let text = std::fs::read_to_string(golden_path("miou.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The numbers of an array of any depth, in order.
fn flat(value: &Value) -> Vec<u64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        number => vec![number.as_u64().unwrap()],
    }
}

fn pixels(value: &Value) -> Vec<u8> {
    flat(value).into_iter().map(|pixel| pixel as u8).collect()
}

fn counted(golden: &Value) -> ConfusionMatrix {
    let mut matrix = ConfusionMatrix::new(golden["classes"].as_u64().unwrap() as usize);
    let ignore = golden["ignore"].as_u64().unwrap() as u8;
    let images = |key: &str| golden[key].as_array().unwrap().clone();
    for (prediction, labels) in images("predictions").iter().zip(&images("labels")) {
        matrix
            .add(&pixels(prediction), &pixels(labels), ignore)
            .unwrap();
    }
    matrix
}

#[test]
fn the_confusion_matrix_equals_the_golden() {
    let golden = golden();
    let expected = flat(&golden["confusion_rows_are_labels"]);
    assert_eq!(counted(&golden).counts(), expected);
}

#[test]
fn the_scores_equal_the_golden() {
    let golden = golden();
    let scores = counted(&golden).scores();
    let close = |actual: f64, expected: &Value| {
        let expected = expected.as_f64().unwrap();
        assert!(
            (actual - expected).abs() <= TOLERANCE,
            "{actual} {expected}"
        );
    };
    close(scores.mean_iou, &golden["mean_iou"]);
    close(scores.pixel_accuracy, &golden["pixel_accuracy"]);
    let expected = golden["iou"].as_array().unwrap();
    assert_eq!(scores.iou.len(), expected.len());
    for (actual, expected) in scores.iou.iter().zip(expected) {
        match actual {
            Some(actual) => close(*actual, expected),
            None => assert!(expected.is_null()),
        }
    }
}

#[test]
fn matrices_of_parts_merge_into_the_matrix_of_the_whole() {
    let golden = golden();
    let whole = counted(&golden);
    let ignore = golden["ignore"].as_u64().unwrap() as u8;
    let mut merged = ConfusionMatrix::new(whole.classes());
    for image in 0..2 {
        let mut part = ConfusionMatrix::new(whole.classes());
        let labels = pixels(&golden["labels"][image]);
        part.add(&pixels(&golden["predictions"][image]), &labels, ignore)
            .unwrap();
        merged.merge(&part).unwrap();
    }
    assert_eq!(merged, whole);
}
