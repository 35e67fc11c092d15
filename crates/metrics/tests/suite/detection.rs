//! What scores of detections must be on any input, and which detections are refused.

use gradway_metrics::detection::{Category, Detection, Image, Object, RunLengths, Segmentation};
use gradway_metrics::{DetectionScores, GroundTruth, IouType};
use serde_json::Value;

const WIDTH: u32 = 160;
const HEIGHT: u32 = 140;

/// A linear congruential generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn bbox(&mut self) -> [f64; 4] {
        let [width, height] = [0, 1].map(|_| 3 + self.below(100));
        let x = self.below(u64::from(WIDTH) - width);
        let y = self.below(u64::from(HEIGHT) - height);
        [x, y, width, height].map(|number| number as f64)
    }
}

/// The pixels of a box.
fn filled([x, y, width, height]: [f64; 4]) -> RunLengths {
    let inside = |value: u32, start: f64, length: f64| {
        let value = f64::from(value);
        start <= value && value < start + length
    };
    let pixels = (0..HEIGHT).flat_map(|row| (0..WIDTH).map(move |column| (column, row)));
    let mask: Vec<bool> = pixels
        .map(|(column, row)| inside(column, x, width) && inside(row, y, height))
        .collect();
    RunLengths::encode(&mask, WIDTH, HEIGHT).unwrap()
}

fn images(count: u64) -> Vec<Image> {
    let image = |id| Image {
        id,
        width: WIDTH,
        height: HEIGHT,
    };
    (1..=count).map(image).collect()
}

fn categories() -> Vec<Category> {
    let category = |(id, name): (u64, &str)| Category {
        id,
        name: name.into(),
    };
    [(3, "cat"), (9, "dog"), (11, "bird")]
        .map(category)
        .to_vec()
}

fn object(random: &mut Random) -> Object {
    let bbox = random.bbox();
    Object {
        image_id: 1 + random.below(4),
        category_id: [3, 9][random.below(2) as usize],
        bbox,
        area: None,
        crowd: random.below(8) == 0,
        segmentation: Some(Segmentation::Runs(filled(bbox))),
    }
}

fn found(object: &Object, score: f64) -> Detection {
    Detection {
        image_id: object.image_id,
        category_id: object.category_id,
        bbox: object.bbox,
        score,
        segmentation: Some(filled(object.bbox)),
    }
}

fn scene(seed: u64) -> (Vec<Object>, GroundTruth) {
    let mut random = Random(seed);
    let objects: Vec<Object> = (0..20).map(|_| object(&mut random)).collect();
    let truth = GroundTruth::new(&images(5), &categories(), &objects).unwrap();
    (objects, truth)
}

/// Objects and scores of their detections, some of them wrong, without equal scores.
fn guesses(objects: &[Object], seed: u64) -> Vec<Detection> {
    let mut random = Random(seed);
    let mut detections: Vec<Detection> = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let score = random.below(1000) as f64 + index as f64 / 100.0;
        let mut detection = found(object, score);
        if random.below(3) == 0 {
            detection.bbox = random.bbox();
            detection.segmentation = Some(filled(detection.bbox));
        }
        detections.push(detection);
    }
    detections
}

const BOTH: [IouType; 2] = [IouType::Bbox, IouType::Segm];

#[test]
fn the_truth_itself_scores_one() {
    for seed in 0..10 {
        let (objects, truth) = scene(seed);
        let detections: Vec<Detection> = objects.iter().map(|object| found(object, 0.5)).collect();
        for iou in BOTH {
            let scores = truth.score(&detections, iou).unwrap();
            for score in [scores.average_precision, scores.ap50, scores.ar_100] {
                assert!((score.unwrap() - 1.0).abs() < 1e-12, "{seed} {scores:?}");
            }
            assert_eq!(scores.classes[2].average_precision, None);
        }
    }
}

#[test]
fn detections_may_come_in_any_order_if_no_scores_are_equal() {
    for seed in 0..10 {
        let (objects, truth) = scene(seed);
        let mut detections = guesses(&objects, seed);
        let forwards = BOTH.map(|iou| truth.score(&detections, iou).unwrap());
        detections.reverse();
        let backwards = BOTH.map(|iou| truth.score(&detections, iou).unwrap());
        assert_eq!(forwards, backwards);
    }
}

#[test]
fn only_the_order_of_scores_matters() {
    for seed in 0..10 {
        let (objects, truth) = scene(seed);
        let detections = guesses(&objects, seed);
        let mut squeezed = detections.clone();
        for detection in &mut squeezed {
            detection.score = (detection.score - 500.0).atan();
        }
        let scores = |detections: &[Detection]| truth.score(detections, IouType::Bbox).unwrap();
        assert_eq!(scores(&detections), scores(&squeezed));
    }
}

#[test]
fn equal_scores_keep_the_order_of_the_list() {
    let object = Object {
        image_id: 1,
        category_id: 3,
        bbox: [10.0, 10.0, 40.0, 40.0],
        area: None,
        crowd: false,
        segmentation: None,
    };
    let truth = GroundTruth::new(&images(2), &categories(), std::slice::from_ref(&object)).unwrap();
    let hit = found(&object, 0.5);
    let miss = Detection {
        bbox: [90.0, 90.0, 40.0, 40.0],
        ..hit.clone()
    };
    let scored = |detections: &[Detection]| {
        let scores = truth.score(detections, IouType::Bbox).unwrap();
        scores.average_precision.unwrap()
    };
    assert!((scored(&[hit.clone(), miss.clone()]) - 1.0).abs() < 1e-12);
    assert!((scored(&[miss.clone(), hit.clone()]) - 0.5).abs() < 1e-12);
    // Zeros of either sign are equal; across images the order is that of the identifiers.
    let (hit, mut miss) = (
        Detection { score: 0.0, ..hit },
        Detection {
            score: -0.0,
            ..miss
        },
    );
    assert!((scored(&[miss.clone(), hit.clone()]) - 0.5).abs() < 1e-12);
    miss.image_id = 2;
    assert!((scored(&[miss, hit]) - 1.0).abs() < 1e-12);
}

#[test]
fn no_detections_score_zero_and_no_objects_score_nothing() {
    let (objects, truth) = scene(1);
    let blank = GroundTruth::new(&images(5), &categories(), &[]).unwrap();
    let none = GroundTruth::new(&[], &[], &[]).unwrap();
    let is_none = |scores: &DetectionScores| {
        scores.values().iter().all(|(_, value)| value.is_none())
            && scores
                .classes
                .iter()
                .all(|class| class.average_precision.is_none())
    };
    for iou in BOTH {
        let scores = truth.score(&[], iou).unwrap();
        assert_eq!(scores.average_precision, Some(0.0));
        assert_eq!(scores.ar_100, Some(0.0));
        assert_eq!(scores.classes[2].average_precision, None);

        let detections = guesses(&objects, 1);
        assert!(is_none(&blank.score(&detections, iou).unwrap()));
        assert!(is_none(&blank.score(&[], iou).unwrap()));
        assert!(is_none(&none.score(&[], iou).unwrap()));
    }
}

#[test]
fn scores_serialize_with_null_where_there_is_none() {
    let blank = GroundTruth::new(&images(1), &categories(), &[]).unwrap();
    let scores = blank.score(&[], IouType::Bbox).unwrap();
    let value = serde_json::to_value(&scores).unwrap();
    assert_eq!(value["ap50"], Value::Null);
    assert_eq!(value["classes"][0]["name"], "cat");
    let back: DetectionScores = serde_json::from_value(value).unwrap();
    assert_eq!(back, scores);
}

#[test]
fn detections_that_cannot_be_scored_are_named() {
    let (objects, truth) = scene(1);
    let sound = found(&objects[0], 0.5);
    let image = sound.image_id;
    let error = |wrong: Detection, iou: IouType| {
        let error = truth.score(&[sound.clone(), wrong], iou).unwrap_err();
        error.to_string()
    };
    for (wrong, iou, expected) in [
        (
            Detection {
                score: f64::NAN,
                ..sound.clone()
            },
            IouType::Bbox,
            format!("detections[1] (image {image}): score is NaN; expected a finite number"),
        ),
        (
            Detection {
                score: f64::INFINITY,
                ..sound.clone()
            },
            IouType::Segm,
            format!("detections[1] (image {image}): score is inf; expected a finite number"),
        ),
        (
            Detection {
                image_id: 77,
                ..sound.clone()
            },
            IouType::Bbox,
            "detections[1] (image 77): image 77 is not among the 5 images of the ground truth"
                .into(),
        ),
        (
            Detection {
                category_id: 4,
                ..sound.clone()
            },
            IouType::Bbox,
            format!(
                "detections[1] (image {image}): category 4 is not among the 3 categories of the \
                 ground truth"
            ),
        ),
        (
            Detection {
                bbox: [0.0, f64::NAN, 1.0, 1.0],
                ..sound.clone()
            },
            IouType::Bbox,
            format!(
                "detections[1] (image {image}): box is [0, NaN, 1, 1]; expected four finite numbers"
            ),
        ),
        (
            Detection {
                segmentation: None,
                ..sound.clone()
            },
            IouType::Segm,
            format!("detections[1] (image {image}): `segmentation` is missing"),
        ),
        (
            Detection {
                segmentation: Some(RunLengths::new(3, 2, vec![6]).unwrap()),
                ..sound.clone()
            },
            IouType::Segm,
            format!(
                "detections[1] (image {image}): mask is 3x2, but the image is 160x140 \
                 (width x height)"
            ),
        ),
    ] {
        assert_eq!(error(wrong, iou), expected);
    }
}
