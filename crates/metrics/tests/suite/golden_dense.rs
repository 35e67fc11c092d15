//! Scores of saliency, normals, depth and edges against scikit-learn, numpy, scipy and scikit-image.

use gradway_metrics::{
    DepthEvaluation, EdgeConfig, EdgeEvaluation, NormalsEvaluation, SaliencyEvaluation,
};
use serde::Serialize;
use serde_json::Value;

/// Both sides compute counts and sums in float64; hardly anything is left to round.
const TOLERANCE: f64 = 1e-9;

/// A kept angle is rounded to a 24-millionth of a degree.
const MEDIAN_TOLERANCE: f64 = 1e-7;

fn golden() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/dense_scores.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn ignore(golden: &Value) -> u8 {
    golden["ignore"].as_u64().unwrap() as u8
}

/// The numbers of an array of any depth, in order.
fn flat(value: &Value) -> Vec<i64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        number => vec![number.as_i64().unwrap()],
    }
}

/// Whole numbers of parts, as float32.
fn parts(value: &Value, of: f64) -> Vec<f32> {
    let numbers = flat(value).into_iter();
    numbers.map(|number| (number as f64 / of) as f32).collect()
}

fn labels(value: &Value) -> Vec<u8> {
    flat(value).into_iter().map(|label| label as u8).collect()
}

fn images(golden: &Value) -> &[Value] {
    golden["images"].as_array().unwrap()
}

/// Every number that is expected is the score of its name.
fn assert_scores(scores: &impl Serialize, expected: &Value, what: &str) {
    let scores = serde_json::to_value(scores).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        let tolerance = match name.as_str() {
            "pixels" | "counts" | "best_counts" => continue,
            "median_angular_error" => MEDIAN_TOLERANCE,
            _ => TOLERANCE,
        };
        let numbers = |value: &Value| match value {
            Value::Array(items) => items.iter().filter_map(Value::as_f64).collect(),
            number => vec![number.as_f64().unwrap()],
        };
        let (actual, expected) = (numbers(&scores[name]), numbers(expected));
        assert_eq!(actual.len(), expected.len(), "{what}: {name}");
        for (actual, expected) in actual.iter().zip(&expected) {
            let difference = (actual - expected).abs();
            assert!(
                difference <= tolerance,
                "{what}: {name} {actual} {expected}"
            );
        }
    }
}

#[test]
fn saliency_scores_as_in_scikit_learn() {
    let golden = golden();
    let mut evaluation = SaliencyEvaluation::new();
    for image in images(&golden["saliency"]) {
        let prediction = parts(&image["prediction"], 1000.0);
        evaluation
            .add(&prediction, &labels(&image["target"]), ignore(&golden))
            .unwrap();
    }
    let expected = &golden["saliency"]["expected"];
    assert_scores(&evaluation.scores(), expected, "saliency");
}

#[test]
fn normals_score_as_in_numpy() {
    let golden = golden();
    let mut evaluation = NormalsEvaluation::new();
    for image in images(&golden["normals"]) {
        let [prediction, target] = ["prediction", "target"].map(|key| parts(&image[key], 1000.0));
        evaluation.add(&prediction, &target).unwrap();
    }
    let expected = &golden["normals"]["expected"];
    assert_eq!(expected["pixels"], evaluation.pixels());
    assert_scores(&evaluation.scores(), expected, "normals");
}

#[test]
fn depth_scores_as_in_numpy() {
    let golden = golden();
    let mut evaluation = DepthEvaluation::new();
    for image in images(&golden["depth"]) {
        let [prediction, target] = ["prediction", "target"].map(|key| parts(&image[key], 1000.0));
        evaluation.add(&prediction, &target).unwrap();
    }
    let expected = &golden["depth"]["expected"];
    assert_eq!(expected["pixels"], evaluation.pixels());
    assert_scores(&evaluation.scores(), expected, "depth");
}

fn edges(golden: &Value, config: &Value) -> EdgeEvaluation {
    let config: EdgeConfig = serde_json::from_value(config.clone()).unwrap();
    let mut evaluation = config.init().unwrap();
    for image in images(&golden["edges"]) {
        let prediction = parts(&image["prediction"], 100.0);
        let target = labels(&image["target"]);
        let width = image["target"][0].as_array().unwrap().len();
        evaluation
            .add(&prediction, &target, ignore(golden), width)
            .unwrap();
    }
    evaluation
}

#[test]
fn edges_are_matched_as_in_scipy_at_every_threshold() {
    let golden = golden();
    for case in golden["edges"]["cases"].as_array().unwrap() {
        let (config, expected) = (&case["config"], &case["expected"]);
        let evaluation = edges(&golden, config);
        let counts = evaluation
            .counts()
            .iter()
            .chain([evaluation.best_counts()].iter())
            .flat_map(|counts| [counts.matched, counts.predicted, counts.truth])
            .collect::<Vec<_>>();
        let both = serde_json::json!([expected["counts"], expected["best_counts"]]);
        let both: Vec<u64> = flat(&both).into_iter().map(|count| count as u64).collect();
        assert_eq!(counts, both, "{config}");
        assert_scores(&evaluation.scores(), expected, &config.to_string());
    }
}
