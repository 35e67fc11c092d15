use super::*;

const IGNORE: u8 = 255;

fn plain(thresholds: usize, max_distance: f64) -> EdgeEvaluation {
    let config = EdgeConfig {
        thresholds,
        max_distance,
        thin: false,
    };
    config.init().unwrap()
}

fn counts(matched: u64, predicted: u64, truth: u64) -> EdgeCounts {
    EdgeCounts {
        matched,
        predicted,
        truth,
    }
}

#[test]
fn scores_of_two_images_by_hand() {
    // Thresholds 0.25, 0.5 and 0.75; a pixel up, down, left or right is near enough.
    let mut evaluation = plain(3, 0.3);
    // The diagonal of 4 x 2 is 4.47: 1.34 pixels.
    let first = [0.9, 0.0, 0.3, 0.6, 0.0, 0.0, 0.0, 0.3];
    let target = [1, 0, 0, 0, 0, 0, 1, 1];
    evaluation.add(&first, &target, IGNORE, 4).unwrap();
    let expected = [counts(3, 4, 3), counts(2, 2, 3), counts(1, 1, 3)];
    assert_eq!(evaluation.counts(), expected);
    assert_eq!(evaluation.best_counts(), counts(3, 4, 3));
    // An image whose best threshold is another.
    let second = [0.8, 0.4, 0.4, 0.4];
    evaluation.add(&second, &[1, 0, 0, 0], IGNORE, 4).unwrap();
    let expected = [counts(4, 8, 4), counts(3, 3, 4), counts(2, 2, 4)];
    assert_eq!(evaluation.counts(), expected);
    assert_eq!(evaluation.best_counts(), counts(4, 5, 4));

    let scores = evaluation.scores();
    assert_eq!(scores.ods_f, Some(6.0 / 7.0));
    assert_eq!(scores.ois_f, Some(8.0 / 9.0));
    // Recalls 1/2, 3/4 and 1 with precisions 1, 1 and 1/2.
    assert_eq!(scores.edge_average_precision, Some(0.25 + 0.25 * 0.75));
    let points = scores.curve.iter();
    let points: Vec<f64> = points.map(|point| point.threshold).collect();
    assert_eq!(points, [0.25, 0.5, 0.75]);
    assert_eq!(
        (scores.curve[1].precision, scores.curve[1].recall),
        (1.0, 0.75)
    );
}

#[test]
fn a_threshold_is_reached_by_what_equals_it() {
    let mut evaluation = plain(99, 0.0);
    // In float32, as predictions are: 0.29 and 51 / 255 are no thresholds of float64.
    evaluation
        .add(
            &[0.29, 51.0 / 255.0, 0.01, 0.99, 0.0099],
            &[0; 5],
            IGNORE,
            5,
        )
        .unwrap();
    let predicted: Vec<u64> = evaluation.counts().iter().map(|c| c.predicted).collect();
    assert_eq!((predicted[0], predicted[1]), (4, 3));
    assert_eq!((predicted[19], predicted[20]), (3, 2));
    assert_eq!((predicted[28], predicted[29], predicted[98]), (2, 1, 1));
}

#[test]
fn ignored_pixels_count_neither_way_and_change_nothing() {
    let target = [0, 0, 0, 0, 0, 1, 1, IGNORE, 0, 0, 0, 0];
    let prediction = |ignored: f32| {
        let mut prediction = [0.0; 12];
        prediction[5..8].copy_from_slice(&[0.8, 0.8, ignored]);
        prediction
    };
    for thin in [false, true] {
        let config = EdgeConfig {
            thin,
            ..EdgeConfig::default()
        };
        let mut first = config.init().unwrap();
        let mut second = config.init().unwrap();
        first
            .add(&prediction(f32::NAN), &target, IGNORE, 4)
            .unwrap();
        second.add(&prediction(0.8), &target, IGNORE, 4).unwrap();
        assert_eq!(first, second);
        assert_eq!(first.counts()[79], counts(2, 2, 2));
    }
    // Nothing but ignored pixels is no image; a background that is ignored is none of the edges.
    let mut evaluation = plain(1, 0.0);
    evaluation.add(&[0.5; 2], &[IGNORE; 2], IGNORE, 2).unwrap();
    evaluation.add(&[], &[], IGNORE, 0).unwrap();
    assert_eq!(evaluation.images(), 0);
    evaluation.add(&[0.9, 0.9], &[1, 0], 0, 2).unwrap();
    assert_eq!(evaluation.counts(), [counts(1, 1, 1)]);
}

#[test]
fn predictions_are_thinned_at_every_threshold() {
    // A bar three rows high; the middle row is the truth, and surer towards the right.
    let row = [0.2, 0.2, 0.2, 0.6, 0.6, 0.6, 0.6, 0.6];
    let prediction = [row, row, row].concat();
    let target = [[0; 8], [1; 8], [0; 8]].concat();
    let config = EdgeConfig {
        thresholds: 3,
        max_distance: 0.0,
        thin: true,
    };
    let mut evaluation = config.init().unwrap();
    evaluation.add(&prediction, &target, IGNORE, 8).unwrap();
    // From 5 columns the thinning leaves 3, and nothing reaches 0.75.
    let [low, middle, high] = evaluation.counts().try_into().unwrap();
    assert_eq!(
        (low, middle, high),
        (counts(3, 3, 8), counts(3, 3, 8), counts(0, 0, 8))
    );
}

#[test]
fn without_edges_the_best_threshold_predicts_the_least() {
    let mut evaluation = plain(3, 0.0);
    evaluation.add(&[0.3, 0.6], &[0, 0], IGNORE, 2).unwrap();
    assert_eq!(evaluation.best_counts(), counts(0, 0, 0));
    let scores = evaluation.scores();
    assert_eq!((scores.ods_f, scores.ois_f), (Some(0.0), Some(0.0)));
    let nothing = plain(3, 0.0).scores();
    assert_eq!((nothing.ods_f, nothing.ois_f), (None, None));
    assert_eq!(nothing.edge_average_precision, None);
}

#[test]
fn parts_merge_and_a_refused_image_leaves_no_trace() {
    let images = [[0.1, 0.6, 0.7, 0.0], [0.9, 0.2, 0.3, 0.4]];
    let target = [0, 1, 1, 0];
    let (mut whole, mut merged) = (plain(9, 0.4), plain(9, 0.4));
    for prediction in images {
        whole.add(&prediction, &target, IGNORE, 2).unwrap();
        let mut part = plain(9, 0.4);
        part.add(&prediction, &target, IGNORE, 2).unwrap();
        merged.merge(&part).unwrap();
    }
    assert_eq!(merged, whole);
    assert_eq!(merged.images(), 2);

    let mut error = |prediction: &[f32], target: &[u8], width: usize| {
        merged
            .add(prediction, target, IGNORE, width)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(&[0.0; 4], &target, 3),
        "map has 4 pixels, which is not a multiple of the width 3"
    );
    assert!(error(&[0.0; 4], &target, 0).contains("multiple of the width 0"));
    assert!(error(&[0.0; 2], &target, 2).contains("prediction has 2 values"));
    assert!(error(&[0.0, 7.0, 0.0, 0.0], &target, 2).contains("pixel 1 is 7"));
    assert!(error(&[0.0; 4], &[0, 0, 0, 4], 2).contains("target at pixel 3 is 4"));
    let error = merged.merge(&plain(9, 0.5)).unwrap_err().to_string();
    assert!(error.contains("max_distance: 0.5"), "{error}");
    assert_eq!(merged, whole);
}

#[test]
fn configurations_that_mean_nothing_are_refused() {
    let init = |thresholds: usize, max_distance: f64| {
        let config = EdgeConfig {
            thresholds,
            max_distance,
            thin: true,
        };
        config.init().unwrap_err().to_string()
    };
    assert_eq!(init(0, 0.1), "thresholds is 0; expected at least 1");
    for (distance, name) in [(-0.1, "-0.1"), (1.5, "1.5"), (f64::NAN, "NaN")] {
        let error = init(9, distance);
        assert!(
            error.contains(&format!("max_distance is {name};")),
            "{error}"
        );
    }
    let config: EdgeConfig = serde_json::from_str(r#"{"max_distance": 0.011}"#).unwrap();
    assert_eq!((config.thresholds, config.thin), (99, true));
    assert!(serde_json::from_str::<EdgeConfig>(r#"{"distance": 1}"#).is_err());
}
