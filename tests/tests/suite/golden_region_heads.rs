//! The heads of regions against PyTorch.

use burn::tensor::Tensor;
use gradway_backbone::Phase;
use gradway_heads::detection::BoxCoder;
use gradway_heads::detection::box_head::{BoxHead, BoxHeadConfig, BoxTarget};
use gradway_heads::detection::losses::BoxLoss;
use gradway_heads::detection::mask_head::MaskHead;
use gradway_tests::{Golden, Tracked, assert_close, assert_gradients, fill, gradients};

/// Single precision against double, over some four layers.
const OUTPUT: f64 = 1e-5;
const GRADIENTS: f64 = 5e-5;

fn leaf(golden: &Golden) -> Tensor<Tracked, 4> {
    golden.tensor("x").require_grad()
}

fn box_head(is_class_agnostic: bool) -> BoxHead<Tracked> {
    let config = BoxHeadConfig {
        convolutions: 0,
        width: 10,
        is_class_agnostic,
    };
    config.init([3, 4], 2, &Default::default())
}

#[test]
fn boxes_and_classes() {
    let golden = Golden::open("box_head");
    let labels = golden.indices("labels");
    let regions = golden.bounds("regions").into_iter();
    let objects = golden.bounds("objects").into_iter().zip(labels);
    let targets: Vec<BoxTarget> = regions
        .zip(objects)
        .map(|(region, (object, class))| BoxTarget {
            region,
            object: (class < 2).then_some((class, object)),
        })
        .collect();
    let coder = BoxCoder {
        deviations: [0.1, 0.1, 0.2, 0.2],
    };
    for (name, is_class_agnostic) in [("agnostic", true), ("by_class", false)] {
        let parameters = golden.below(&format!("{name}.parameter."));
        let head = box_head(is_class_agnostic);
        let head = fill(head, |path, _| parameters[path].clone());
        let x = leaf(&golden);
        let outputs = head.forward(x.clone(), Phase::Inference);
        let losses = head.losses(outputs, &targets, BoxLoss::SmoothL1 { beta: 1.0 }, coder);
        let expected = golden.scalar(&format!("{name}.loss.classes"));
        assert_close(name, &losses.classes.to_data(), &expected, OUTPUT);
        let expected = golden.scalar(&format!("{name}.loss.boxes"));
        assert_close(name, &losses.boxes.to_data(), &expected, OUTPUT);

        let backward = (losses.classes + losses.boxes).backward();
        let mut actual = gradients(&head, &backward);
        let gradient = x.grad(&backward).expect("a gradient");
        actual.insert("x".to_string(), gradient.into_data());
        let expected = golden.below(&format!("{name}.gradient."));
        assert_gradients(&actual, &expected, GRADIENTS);
    }
}

#[test]
fn masks() {
    let golden = Golden::open("mask_head");
    let parameters = golden.below("parameter.");
    let head = MaskHead::<Tracked>::new(5, 2, 3, &Default::default());
    let head = fill(head, |path, _| parameters[path].clone());
    let classes = golden.indices("labels");
    let masks: Vec<bool> = golden.values("masks").iter().map(|v| *v > 0.5).collect();
    let x = leaf(&golden);
    let logits = head.forward(x.clone());
    let predicted = head.masks(logits.clone(), &classes);
    let expected = golden.values("predicted");
    assert_eq!(predicted.len(), expected.len());
    for (value, expected) in predicted.iter().zip(expected) {
        assert!((f64::from(*value) - expected).abs() < OUTPUT);
    }
    let loss = head.loss(logits, &classes, &masks);
    assert_close("masks", &loss.to_data(), &golden.scalar("loss"), OUTPUT);

    let backward = loss.backward();
    let mut actual = gradients(&head, &backward);
    let gradient = x.grad(&backward).expect("a gradient");
    actual.insert("x".to_string(), gradient.into_data());
    assert_gradients(&actual, &golden.below("gradient."), GRADIENTS);
}

#[test]
fn no_regions_no_loss() {
    let head = box_head(true);
    let empty = Tensor::zeros([0, 3], &Default::default());
    let outputs = gradway_heads::detection::box_head::BoxOutputs {
        logits: empty,
        offsets: Tensor::zeros([0, 4], &Default::default()),
    };
    let losses = head.losses(outputs, &[], BoxLoss::L1, BoxCoder::PLAIN);
    assert_eq!(
        losses.classes.into_scalar() + losses.boxes.into_scalar(),
        0.0
    );
}
