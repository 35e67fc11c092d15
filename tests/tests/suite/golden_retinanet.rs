//! RetinaNet against a statement of it in PyTorch, put together from torchvision's parts.

use burn::tensor::Tensor;
use gradway_heads::MapShape;
use gradway_heads::detection::losses::BoxLoss;
use gradway_heads::detection::retinanet::{RetinaNet, RetinaNetConfig};
use gradway_heads::detection::{DetectionLimits, Objects};
use gradway_tests::{Golden, Tensors, Tracked, assert_close, assert_gradients, fill, gradients};

/// Single precision against double, over some ten layers; sums of some thousand terms.
const OUTPUT: f64 = 1e-5;
const GRADIENTS: f64 = 5e-5;

/// The second image is smaller than its batch.
const SIZES: [[usize; 2]; 2] = [[96, 128], [80, 70]];
const INPUTS: [usize; 4] = [4, 5, 6, 7];

/// Maps of these widths at strides of 4, 8, 16 and 32.
fn maps() -> [MapShape; 4] {
    std::array::from_fn(|map| MapShape {
        channels: INPUTS[map],
        stride: [4.0, 8.0, 16.0, 32.0][map],
        is_pyramid: false,
    })
}

fn detector(golden: &Golden, box_loss: BoxLoss) -> RetinaNet<Tracked> {
    let config = RetinaNetConfig {
        channels: 6,
        convolutions: 2,
        box_loss,
        ..Default::default()
    };
    let parameters = golden.below("parameter.");
    let detector = config.init(&maps(), 3, &Default::default());
    fill(detector, |path, _| parameters[path].clone())
}

fn features(golden: &Golden) -> Vec<Tensor<Tracked, 4>> {
    let feature = |stage| golden.tensor(&format!("feature.{stage}"));
    (0..4).map(|stage| feature(stage).require_grad()).collect()
}

fn objects(golden: &Golden) -> Vec<Objects> {
    let image = |index: usize| Objects {
        bounds: golden.bounds(&format!("objects.{index}")),
        classes: golden.indices(&format!("labels.{index}")),
    };
    (0..2).map(image).collect()
}

#[test]
fn losses_and_gradients() {
    let golden = Golden::open("retinanet");
    let (detector, features) = (detector(&golden, BoxLoss::L1), features(&golden));
    let objects = objects(&golden);
    let levels = detector.forward(&features);
    let losses = detector.losses(&levels, &objects, &SIZES);
    assert_close(
        "classes",
        &losses.classes.to_data(),
        &golden.scalar("loss.classes"),
        OUTPUT,
    );
    assert_close(
        "boxes",
        &losses.boxes.to_data(),
        &golden.scalar("loss.boxes"),
        OUTPUT,
    );

    let backward = (losses.classes + losses.boxes).backward();
    let mut actual = gradients(&detector, &backward);
    for (stage, feature) in features.iter().enumerate() {
        if let Some(gradient) = feature.grad(&backward) {
            actual.insert(format!("feature.{stage}"), gradient.into_data());
        }
    }
    let expected: Tensors = golden.below("gradient.");
    assert!(
        !expected.contains_key("feature.0"),
        "the finest stage is not used"
    );
    assert_gradients(&actual, &expected, GRADIENTS);
}

#[test]
fn boxes_by_generalised_iou() {
    let golden = Golden::open("retinanet");
    let objects = objects(&golden);
    let detector = detector(&golden, BoxLoss::Giou);
    let levels = detector.forward(&features(&golden));
    let losses = detector.losses(&levels, &objects, &SIZES);
    let expected = golden.scalar("loss.giou");
    assert_close("boxes", &losses.boxes.to_data(), &expected, OUTPUT);
}

#[test]
fn an_image_without_objects_is_background() {
    let golden = Golden::open("retinanet");
    let nothing = vec![Objects::default(); 2];
    let detector = detector(&golden, BoxLoss::L1);
    let levels = detector.forward(&features(&golden));
    let losses = detector.losses(&levels, &nothing, &SIZES);
    assert_eq!(losses.boxes.into_scalar(), 0.0);
    assert!(losses.classes.into_scalar() > 0.0);
}

#[test]
fn detections() {
    let golden = Golden::open("retinanet");
    let limits = DetectionLimits {
        per_level: 20,
        per_image: 10,
        ..Default::default()
    };
    let detector = detector(&golden, BoxLoss::L1);
    let levels = detector.forward(&features(&golden));
    let found = detector.detect(levels, &SIZES, limits);
    for (image, found) in found.iter().enumerate() {
        let key = |name: &str| format!("detected.{image}.{name}");
        let classes: Vec<usize> = found.iter().map(|object| object.class).collect();
        assert_eq!(classes, golden.indices(&key("classes")));
        let expected = golden.bounds(&key("bounds"));
        let expected = expected.into_iter().zip(golden.values(&key("scores")));
        for (object, (bounds, score)) in found.iter().zip(expected) {
            assert!((f64::from(object.score) - score).abs() < OUTPUT);
            for (side, expected) in object.bounds.into_iter().zip(bounds) {
                // In pixels, of a hundred.
                assert!((side - expected).abs() < 1e-3, "{object:?}");
            }
        }
    }
}
