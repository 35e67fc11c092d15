//! The region proposal network against a statement of it in PyTorch, put together from torchvision's
//! parts.

use burn::tensor::Tensor;
use gradway_heads::detection::Objects;
use gradway_heads::detection::proposals::{ProposalLimits, ProposalNetwork};
use gradway_tests::{Golden, Tracked, assert_close, assert_gradients, fill, gradients};

/// Single precision against double, over three layers.
const OUTPUT: f64 = 1e-5;
const GRADIENTS: f64 = 5e-5;

/// The second image is smaller than its batch.
const SIZES: [[usize; 2]; 2] = [[48, 64], [40, 44]];

fn network(golden: &Golden) -> ProposalNetwork<Tracked> {
    let parameters = golden.below("parameter.");
    let network = ProposalNetwork::new(5, &[8.0, 16.0], &Default::default());
    fill(network, |path, _| parameters[path].clone())
}

fn maps(golden: &Golden) -> Vec<Tensor<Tracked, 4>> {
    let map = |level| golden.tensor(&format!("map.{level}"));
    (0..2).map(|level| map(level).require_grad()).collect()
}

#[test]
fn losses_and_gradients() {
    let golden = Golden::open("proposals");
    let (network, maps) = (network(&golden), maps(&golden));
    let image = |index: usize| {
        let bounds = golden.bounds(&format!("objects.{index}"));
        Objects {
            // Whatever they are.
            classes: (3..3 + bounds.len()).collect(),
            bounds,
        }
    };
    let objects: Vec<Objects> = (0..2).map(image).collect();
    let levels = network.forward(&maps);
    let losses = network.losses(&levels, &objects, &SIZES, 5);
    let expected = golden.scalar("loss.objectness");
    assert_close(
        "objectness",
        &losses.objectness.to_data(),
        &expected,
        OUTPUT,
    );
    let expected = golden.scalar("loss.boxes");
    assert_close("boxes", &losses.boxes.to_data(), &expected, OUTPUT);

    let backward = (losses.objectness + losses.boxes).backward();
    let mut actual = gradients(&network, &backward);
    for (level, map) in maps.iter().enumerate() {
        let gradient = map.grad(&backward).expect("every map is used");
        actual.insert(format!("map.{level}"), gradient.into_data());
    }
    assert_gradients(&actual, &golden.below("gradient."), GRADIENTS);
}

#[test]
fn proposals() {
    let golden = Golden::open("proposals");
    let network = network(&golden);
    let limits = ProposalLimits {
        per_level: 20,
        per_image: 12,
        ..ProposalLimits::TRAINING
    };
    let levels = network.forward(&maps(&golden));
    let found = network.candidates(levels, &SIZES, limits).read();
    for (image, found) in found.iter().enumerate() {
        let scores = golden.values(&format!("proposed.{image}.scores"));
        let expected = golden.bounds(&format!("proposed.{image}.bounds"));
        assert_eq!(found.len(), expected.len());
        for (object, (bounds, score)) in found.iter().zip(expected.into_iter().zip(scores)) {
            assert!((f64::from(object.score) - score).abs() < OUTPUT);
            for (side, expected) in object.bounds.into_iter().zip(bounds) {
                // In pixels, of some ten.
                assert!((side - expected).abs() < 1e-3, "{object:?}");
            }
        }
    }
}

#[test]
fn another_seed_draws_other_anchors() {
    let network = ProposalNetwork::<Tracked>::new(5, &[8.0, 16.0], &Default::default());
    let random = |side: usize| {
        let distribution = burn::tensor::Distribution::Normal(0.0, 1.0);
        Tensor::random([1, 5, side, side], distribution, &Default::default())
    };
    let levels = network.forward(&[random(24), random(12)]);
    let objects = [Objects {
        bounds: vec![[20.0, 20.0, 90.0, 80.0]],
        classes: vec![0],
    }];
    let loss = |seed| {
        let losses = network.losses(&levels, &objects, &[[192, 192]], seed);
        losses.objectness.into_scalar()
    };
    assert_eq!(loss(1), loss(1));
    assert_ne!(loss(1), loss(2));
}
