use super::*;

fn object(image_id: u64, corners: [f64; 4]) -> VocObject {
    VocObject {
        image_id,
        class: 0,
        corners,
        difficult: false,
    }
}

fn detection(image_id: u64, corners: [f64; 4], score: f64) -> VocDetection {
    VocDetection {
        image_id,
        class: 0,
        corners,
        score,
    }
}

/// A box of 10 x 10 inclusive pixels.
const BOX: [f64; 4] = [0.0, 0.0, 9.0, 9.0];
const ELSEWHERE: [f64; 4] = [50.0, 50.0, 59.0, 59.0];

fn scored(objects: &[VocObject], detections: &[VocDetection]) -> VocScores {
    score(1, objects, detections, Edges::Inclusive).unwrap()
}

fn close(score: Option<f64>, expected: f64) -> bool {
    score.is_some_and(|score| (score - expected).abs() < 1e-12)
}

#[test]
fn averages_of_a_short_list_by_hand() {
    // Right, wrong, right of 4 objects: precisions 1, 1/2, 2/3 at recalls 1/4, 1/4, 1/2.
    let objects: Vec<VocObject> = (0..4).map(|image| object(image, BOX)).collect();
    let detections = [
        detection(0, BOX, 0.9),
        detection(1, ELSEWHERE, 0.8),
        detection(2, BOX, 0.7),
    ];
    let scores = scored(&objects, &detections);
    // Recalls 0, 0.1, 0.2 have precision 1; 0.3, 0.4, 0.5 have 2/3; the rest 0.
    assert!(close(
        scores.mean_ap_11_points,
        (3.0 + 3.0 * 2.0 / 3.0) / 11.0
    ));
    assert!(close(scores.mean_ap_area, 0.25 + 0.25 * 2.0 / 3.0));
}

#[test]
fn an_object_is_taken_once() {
    let objects = [object(0, BOX), object(1, BOX)];
    let twice = [
        detection(0, BOX, 0.9),
        detection(0, BOX, 0.8),
        detection(1, BOX, 0.7),
    ];
    let scores = scored(&objects, &twice);
    assert!(close(scores.ap_area[0], 0.5 + 0.5 * 2.0 / 3.0));
}

#[test]
fn a_detection_does_not_turn_to_the_second_best_object() {
    // The second detection overlaps the taken object most and the free one by 90 of 100 pixels.
    let objects = [object(0, BOX), object(0, [0.0, 0.0, 9.0, 8.0])];
    let detections = [detection(0, BOX, 0.9), detection(0, BOX, 0.8)];
    assert!(close(scored(&objects, &detections).ap_area[0], 0.5));
}

#[test]
fn difficult_objects_count_neither_way() {
    let difficult = VocObject {
        difficult: true,
        ..object(0, BOX)
    };
    let objects = [difficult.clone(), object(1, BOX)];
    let detections = [
        detection(0, BOX, 0.9),
        detection(0, BOX, 0.8),
        detection(1, BOX, 0.7),
    ];
    let scores = scored(&objects, &detections);
    assert!(close(scores.mean_ap_area, 1.0) && close(scores.mean_ap_11_points, 1.0));
    // Alone it is no object.
    let scores = scored(&[difficult], &detections);
    assert_eq!(
        (scores.mean_ap_area, scores.ap_11_points),
        (None, vec![None])
    );
}

#[test]
fn half_an_overlap_is_enough_and_edges_decide_what_half_is() {
    // 5 of 10 columns with both edges; 4 of 9 without.
    let objects = [object(0, BOX)];
    let detections = [detection(0, [0.0, 0.0, 4.0, 9.0], 0.5)];
    let area = |edges| score(1, &objects, &detections, edges).unwrap().ap_area[0];
    assert!(close(area(Edges::Inclusive), 1.0));
    assert!(close(area(Edges::Points), 0.0));
}

#[test]
fn a_recall_of_3_of_10_reaches_the_point_at_0_3() {
    let objects: Vec<VocObject> = (0..10).map(|image| object(image, BOX)).collect();
    let detections: Vec<VocDetection> = (0..3).map(|image| detection(image, BOX, 0.5)).collect();
    let scores = scored(&objects, &detections);
    assert!(close(scores.mean_ap_11_points, 4.0 / 11.0));
}

#[test]
fn equal_scores_keep_their_order() {
    let objects = [object(0, BOX)];
    let (hit, miss) = (detection(0, BOX, 0.0), detection(0, ELSEWHERE, -0.0));
    let first = scored(&objects, &[hit.clone(), miss.clone()]);
    let last = scored(&objects, &[miss, hit]);
    assert!(close(first.mean_ap_area, 1.0));
    assert!(close(last.mean_ap_area, 0.5));
}

#[test]
fn classes_are_scored_apart_and_empty_ones_left_out() {
    let other = VocObject {
        class: 2,
        ..object(0, BOX)
    };
    let objects = [object(0, BOX), other];
    let detections = [detection(0, BOX, 0.5)];
    let scores = score(4, &objects, &detections, Edges::Inclusive).unwrap();
    assert_eq!(scores.ap_area, [Some(1.0), None, Some(0.0), None]);
    assert_eq!(scores.mean_ap_area, Some(0.5));
    let nothing = score(2, &[], &detections, Edges::Inclusive).unwrap();
    assert_eq!(nothing.mean_ap_11_points, None);
    assert_eq!(
        score(0, &[], &[], Edges::Points).unwrap().mean_ap_area,
        None
    );
}

#[test]
fn what_cannot_be_scored_is_named() {
    let error = |objects: &[VocObject], detections: &[VocDetection]| {
        score(1, objects, detections, Edges::Inclusive)
            .unwrap_err()
            .to_string()
    };
    let found = error(&[], &[detection(3, BOX, 0.5), detection(4, BOX, f64::NAN)]);
    assert_eq!(
        found,
        "detections[1] (image 4): score is NaN; expected a finite number"
    );
    let found = error(&[object(3, [0.0, 0.0, f64::INFINITY, 1.0])], &[]);
    assert_eq!(
        found,
        "objects[0] (image 3): box is [0, 0, inf, 1]; expected four finite numbers"
    );
    let wrong = VocDetection {
        class: 1,
        ..detection(5, BOX, 0.5)
    };
    let found = error(&[], &[wrong]);
    assert_eq!(
        found,
        "detections[0] (image 5): class is 1; expected one below 1"
    );
}
