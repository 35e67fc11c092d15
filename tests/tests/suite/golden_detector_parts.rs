//! Parts of detectors against torchvision, on rectangles of every kind: empty, outside, equal.

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};
use gradway_heads::detection::losses::{giou_loss, smooth_l1};
use gradway_heads::detection::{
    AnchorGenerator, Bounds, BoxCoder, Match, Matcher, bounds, nms, nms_by_class, paste,
};
use gradway_kernels::{FocalLoss, Roi, RoiAlign, focal_loss, roi_align};
use gradway_tests::{Golden, Tracked, assert_close};

/// Single precision against double: some operations of some hundred pixels, sums of some hundred terms.
const TOLERANCE: f64 = 1e-5;

fn data(rows: &[[f32; 4]]) -> TensorData {
    TensorData::new(rows.as_flattened().to_vec(), [rows.len(), 4])
}

fn gradient<const D: usize>(leaf: &Tensor<Tracked, D>, loss: Tensor<Tracked, 1>) -> TensorData {
    leaf.grad(&loss.backward()).expect("a gradient").into_data()
}

#[test]
fn overlaps() {
    let golden = Golden::open("detection");
    let (a, b) = (golden.bounds("overlap.a"), golden.bounds("overlap.b"));
    let all = |overlap: fn(Bounds, Bounds) -> f32| {
        let pairs = a
            .iter()
            .flat_map(|a| b.iter().map(move |b| overlap(*a, *b)));
        TensorData::new(pairs.collect::<Vec<f32>>(), [a.len(), b.len()])
    };
    assert_close(
        "IoU",
        &all(bounds::iou),
        &golden.data("overlap.iou"),
        TOLERANCE,
    );
    assert_close(
        "GIoU",
        &all(bounds::giou),
        &golden.data("overlap.giou"),
        TOLERANCE,
    );
}

#[test]
fn suppression_of_thousands_with_ties() {
    let golden = Golden::open("detection");
    let bounds = golden.bounds("nms.bounds");
    let numbers = |key: &str| -> Vec<f32> {
        let values = golden.values(key).into_iter();
        values.map(|value| value as f32).collect()
    };
    let (scores, ties) = (numbers("nms.scores"), numbers("nms.ties"));
    let classes = golden.indices("nms.classes");
    assert_eq!(nms(&bounds, &ties, 0.5), golden.indices("nms.kept_of_ties"));
    assert_eq!(nms(&bounds, &scores, 0.3), golden.indices("nms.kept_30"));
    assert_eq!(nms(&bounds, &scores, 0.7), golden.indices("nms.kept_70"));
    let kept = nms_by_class(&bounds, &scores, &classes, 0.5);
    assert_eq!(kept, golden.indices("nms.kept_by_class"));
}

#[test]
fn coding_and_its_gradient() {
    let golden = Golden::open("detection");
    let coder = BoxCoder {
        deviations: [0.1, 0.1, 0.2, 0.2],
    };
    let references = golden.bounds("coder.references");
    let pairs = golden.bounds("coder.bounds").into_iter().zip(&references);
    let encoded: Vec<[f32; 4]> = pairs
        .map(|(bounds, of)| coder.encode(bounds, *of))
        .collect();
    assert_close(
        "encoded",
        &data(&encoded),
        &golden.data("coder.encoded"),
        TOLERANCE,
    );

    let offsets = golden.bounds("coder.offsets").into_iter().zip(&references);
    let decoded: Vec<Bounds> = offsets
        .map(|(offsets, of)| coder.decode(offsets, *of))
        .collect();
    assert_close(
        "decoded",
        &data(&decoded),
        &golden.data("coder.decoded"),
        TOLERANCE,
    );

    let offsets = golden.tensor::<Tracked, 2>("coder.offsets").require_grad();
    let decoded = coder.decode_each(offsets.clone(), &references);
    let expected = golden.data("coder.decoded");
    assert_close(
        "decoded with gradients",
        &decoded.to_data(),
        &expected,
        TOLERANCE,
    );
    let loss = (decoded * golden.tensor("coder.weights")).sum();
    let expected = golden.data("coder.gradient");
    assert_close("gradient", &gradient(&offsets, loss), &expected, TOLERANCE);
}

#[test]
fn matching() {
    let golden = Golden::open("detection");
    let candidates = golden.bounds("matcher.candidates");
    let objects = golden.bounds("matcher.objects");
    let cases = [
        ("second", 0.5, 0.5, None),
        ("anchors", 0.5, 0.4, Some(0.0)),
        ("proposals", 0.7, 0.3, Some(0.0)),
    ];
    for (name, object, background, best_from) in cases {
        let matcher = Matcher {
            object,
            background,
            best_from,
        };
        let found = matcher.matches(&candidates, &objects);
        let found: Vec<f64> = found
            .iter()
            .map(|found| match found {
                Match::Object(index) => *index as f64,
                Match::Background => -1.0,
                Match::Between => -2.0,
            })
            .collect();
        assert_eq!(found, golden.values(&format!("matcher.{name}")), "{name}");
    }
}

#[test]
fn anchors() {
    let golden = Golden::open("detection");
    // Strides that differ between the axes are none of ours: the second level's lines are 13 pixels apart,
    // its columns 14.
    let generator = |sizes: [f32; 2], stride| AnchorGenerator {
        strides: vec![stride],
        sizes: vec![1.0],
        scales: sizes.to_vec(),
        ratios: vec![0.25, 1.0, 4.0],
    };
    let expected = golden.bounds("anchors.all");
    let (first, second) = expected.split_at(5 * 7 * 6);
    assert_eq!(generator([16.0, 32.0], 8.0).level(0, [5, 7]), first);
    assert_eq!(generator([64.0, 96.0], 14.0).level(0, [1, 4]), second[..24]);
}

#[test]
fn losses_and_their_gradients() {
    let golden = Golden::open("detection");
    let leaf = |key: &str| golden.tensor::<Tracked, 2>(key).require_grad();

    let logits = golden.tensor::<Tracked, 3>("focal.logits").require_grad();
    let labels = golden.tensor::<Tracked, 2>("focal.labels").int();
    let labels: Tensor<Tracked, 2, Int> = labels;
    let options = FocalLoss {
        alpha: 0.25,
        gamma: 2.0,
    };
    let loss = focal_loss(logits.clone(), labels, options);
    assert_close(
        "focal",
        &loss.to_data(),
        &golden.scalar("focal.loss"),
        TOLERANCE,
    );
    let expected = golden.data("focal.gradient");
    assert_close("focal", &gradient(&logits, loss), &expected, TOLERANCE);

    let predicted = leaf("giou.predicted");
    let loss = giou_loss(predicted.clone(), golden.tensor("giou.wanted"));
    assert_close(
        "GIoU",
        &loss.to_data(),
        &golden.scalar("giou.loss"),
        TOLERANCE,
    );
    let expected = golden.data("giou.gradient");
    assert_close("GIoU", &gradient(&predicted, loss), &expected, TOLERANCE);

    let x = leaf("smooth.x");
    let loss = smooth_l1(x.clone(), x.zeros_like(), 1.0 / 9.0);
    assert_close(
        "smooth",
        &loss.to_data(),
        &golden.scalar("smooth.loss"),
        TOLERANCE,
    );
    let expected = golden.data("smooth.gradient");
    assert_close("smooth", &gradient(&x, loss), &expected, TOLERANCE);
}

#[test]
fn pooling_and_its_gradient() {
    let golden = Golden::open("detection");
    let images = golden.indices("roi.images");
    let bounds = golden.bounds("roi.bounds").into_iter().zip(images);
    let rois: Arc<[Roi]> = bounds
        .map(|(bounds, image)| Roi { image, bounds })
        .collect();
    let cases = [
        ("box", "roi.weights", 7, 0, true),
        ("mask", "roi.mask.weights", 14, 2, true),
        ("published", "roi.weights", 7, 0, false),
    ];
    for (name, weights, size, sampling, aligned) in cases {
        let options = RoiAlign {
            size,
            scale: 0.25,
            sampling,
            aligned,
        };
        let x = golden.tensor::<Tracked, 4>("roi.x").require_grad();
        let pooled = roi_align(x.clone(), rois.clone(), options);
        let values = pooled.clone().into_data();
        let region = 3 * size * size;
        let every_third: Vec<f32> = values
            .as_slice::<f32>()
            .expect("single precision")
            .chunks_exact(region)
            .step_by(3)
            .flatten()
            .copied()
            .collect();
        let expected = golden.data(&format!("roi.{name}"));
        let every_third = TensorData::new(every_third, expected.shape.clone());
        assert_close(name, &every_third, &expected, TOLERANCE);
        let loss = (pooled * golden.tensor(weights)).sum();
        let expected = golden.data(&format!("roi.{name}.gradient"));
        assert_close(name, &gradient(&x, loss), &expected, TOLERANCE);
    }
}

#[test]
fn masks_in_their_image() {
    let golden = Golden::open("detection");
    let bounds = golden.bounds("paste.bounds");
    let (masks, shares) = (golden.values("paste.masks"), golden.values("paste.shares"));
    let (mut covered, mut other) = (0, 0);
    for (index, bounds) in bounds.into_iter().enumerate() {
        let mask: Vec<f32> = masks[index * 784..][..784]
            .iter()
            .map(|value| *value as f32)
            .collect();
        let pixels = paste(&mask, 28, bounds, [40, 52]);
        let shares = &shares[index * 40 * 52..][..40 * 52];
        for (place, (pixel, share)) in pixels.into_iter().zip(shares).enumerate() {
            // A share of a half by rounding may be on either side.
            if (share - 0.5).abs() > TOLERANCE {
                assert_eq!(pixel, *share > 0.5, "mask {index} at {place}: {share}");
                *(if pixel { &mut covered } else { &mut other }) += 1;
            }
        }
    }
    assert!(covered > 1000 && other > 1000, "{covered} and {other}");
}
