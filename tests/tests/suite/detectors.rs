//! Detectors learn one image: proposals, stages and masks work together.

use burn::module::AutodiffModule;
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor, TensorData};
use gradway_heads::MapShape;
use gradway_heads::detection::dense::Level;
use gradway_heads::detection::rcnn::{Rcnn, RcnnConfig};
use gradway_heads::detection::retinanet::RetinaNetConfig;
use gradway_heads::detection::{
    BatchTargets, Bounds, DetectionLimits, DetectorSettings, Objects, SegmentedObject, bounds,
};
use gradway_tests::{Plain, Tracked, assert_close, assert_gradients, gradients};

const SIZE: [usize; 2] = [120, 128];
const INPUTS: [usize; 4] = [4, 6, 8, 8];

fn objects() -> Objects {
    Objects {
        bounds: vec![[8.0, 10.0, 60.0, 70.0], [64.0, 40.0, 124.0, 112.0]],
        classes: vec![2, 0],
    }
}

/// The upper left half of each object along its diagonal.
fn mask(object: usize, seen: Bounds) -> Vec<bool> {
    let [left, top, right, bottom] = objects().bounds[object];
    let cell = |index: usize| {
        let share = |place: usize| (place as f32 + 0.5) / 28.0;
        let x = seen[0] + share(index % 28) * (seen[2] - seen[0]);
        let y = seen[1] + share(index / 28) * (seen[3] - seen[1]);
        let (across, down) = ((x - left) / (right - left), (y - top) / (bottom - top));
        across >= 0.0 && down >= 0.0 && across + down <= 1.0
    };
    (0..28 * 28).map(cell).collect()
}

/// Maps of these widths at strides of 4, 8, 16 and 32.
fn maps() -> [MapShape; 4] {
    std::array::from_fn(|map| MapShape {
        channels: INPUTS[map],
        stride: [4.0, 8.0, 16.0, 32.0][map],
        is_pyramid: false,
    })
}

/// The features of a frozen backbone, a function of the place.
fn features() -> Vec<Tensor<Plain, 4>> {
    let device = Default::default();
    let stage = |(stage, channels): (usize, usize)| {
        let stride = 4 << stage;
        let size = SIZE.map(|side: usize| side.div_ceil(stride));
        Tensor::random(
            [1, channels, size[0], size[1]],
            Distribution::Normal(0.0, 1.0),
            &device,
        )
    };
    INPUTS.into_iter().enumerate().map(stage).collect()
}

fn learn(config: &RcnnConfig, steps: usize) -> (Rcnn<Plain>, Vec<Tensor<Plain, 4>>, [f32; 2]) {
    let features = features();
    let tracked: Vec<Tensor<Tracked, 4>> =
        features.iter().cloned().map(Tensor::from_inner).collect();
    let mut model = config.init::<Tracked>(&maps(), 3, &Default::default());
    let mut optimizer = AdamConfig::new().init();
    let mut losses = [0.0; 2];
    for step in 0..steps {
        let objects = [objects()];
        let mask = |_: usize, object: usize, seen: Bounds| mask(object, seen);
        let truth = BatchTargets {
            objects: &objects,
            sizes: &[SIZE],
            mask,
            seed: step as u64,
        };
        let loss = model.losses(&tracked, &truth);
        let loss = loss.total(config);
        losses[usize::from(step > 0)] = loss.clone().into_scalar();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(2e-3, model, gradients);
    }
    (model.valid(), features, losses)
}

fn small(config: RcnnConfig) -> RcnnConfig {
    RcnnConfig {
        channels: 16,
        width: 48,
        mask_convolutions: config.mask_convolutions.min(1),
        ..config
    }
}

/// The best of the detections are the objects, in their places.
fn assert_found(found: &[SegmentedObject]) {
    for (index, (wanted, class)) in objects().bounds.iter().zip(objects().classes).enumerate() {
        let best = found
            .iter()
            .filter(|found| found.object.class == class)
            .max_by(|a, b| a.object.score.total_cmp(&b.object.score));
        let best = best.unwrap_or_else(|| panic!("object {index} is not found"));
        let overlap = bounds::iou(best.object.bounds, *wanted);
        assert!(overlap > 0.75, "object {index}: {overlap} {best:?}");
        assert!(
            best.object.score > 0.5,
            "object {index}: {}",
            best.object.score
        );
        if let Some(predicted) = &best.mask {
            let expected = mask(index, best.object.bounds);
            let cells = predicted.iter().zip(&expected);
            let right = cells
                .filter(|(value, is_there)| (**value > 0.5) == **is_there)
                .count();
            assert!(right > 700, "object {index}: {right} of 784 cells");
        }
    }
}

/// One test and not two: random weights come from a generator that threads would share.
#[test]
fn detectors_of_regions_learn_an_image() {
    Plain::seed(&Default::default(), 5);
    for config in [RcnnConfig::cascade(), RcnnConfig::faster()] {
        let config = small(config);
        let (model, features, [first, last]) = learn(&config, 120);
        assert!(last < 0.35 * first, "{first} to {last}");
        let found = model.detect(&features, &[SIZE], DetectionLimits::default());
        let has_masks = config.mask_convolutions > 0;
        assert!(
            found[0]
                .iter()
                .all(|found| found.mask.is_some() == has_masks)
        );
        assert_found(&found[0]);
    }
}

/// An anchor that is sure of its class and has no offset is found where it is, on strides of 3.5 to 28.
#[test]
fn an_anchor_is_found_in_its_place_on_strides_that_are_no_whole_numbers() {
    let maps = [3.5, 7.0, 14.0, 28.0].map(|stride| MapShape {
        channels: 8,
        stride,
        is_pyramid: true,
    });
    let config = RetinaNetConfig {
        channels: 8,
        convolutions: 1,
        ..Default::default()
    };
    assert_eq!(config.validate(&maps), Ok(()));
    let device = Default::default();
    let detector = config.init::<Plain>(&maps, 2, &device);
    let size = [84, 112];
    // The finest map is not read; the coarser ones are of strides 7 to 112.
    let sizes = [[12, 16], [6, 8], [3, 4], [2, 2], [1, 1]];
    let levels = sizes
        .into_iter()
        .enumerate()
        .map(|(index, [height, width])| {
            let mut logits = vec![-10.0f32; 9 * 2 * height * width];
            if index == 0 {
                // The second scale of the square, the second class, the fourth line, the sixth column.
                logits[((4 * 2 + 1) * height + 3) * width + 5] = 10.0;
            }
            let logits = TensorData::new(logits, [1, 9 * 2, height, width]);
            let logits = Tensor::<Plain, 4>::from_data(logits, &device);
            let offsets = Tensor::zeros([1, 9 * 4, height, width], &device);
            Level::new(logits, offsets, 9)
        });
    let found = detector.detect(levels.collect(), &[size], DetectionLimits::default());
    let [best] = found[0].as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(best.class, 1);
    // Four strides times the cube root of two, around the corner of the cell.
    let half = 14.0 * 2f32.powf(1.0 / 3.0);
    let expected = [35.0 - half, 21.0 - half, 35.0 + half, 21.0 + half];
    for (actual, expected) in best.bounds.into_iter().zip(expected) {
        assert!((actual - expected).abs() < 1e-4, "{:?}", best.bounds);
    }
}

/// The loss whose gradients are taken stage by stage, against the sum that is differentiated at once.
#[test]
fn stage_by_stage_is_the_same() {
    let config = small(RcnnConfig {
        box_convolutions: 1,
        box_weight: 3.0,
        ..RcnnConfig::cascade()
    });
    let features = features();
    let leaf = |feature: &Tensor<Plain, 4>| {
        Tensor::<Tracked, 4>::from_inner(feature.clone()).require_grad()
    };
    let model = config.init::<Tracked>(&maps(), 3, &Default::default());
    let mask = |_: usize, object: usize, seen: Bounds| mask(object, seen);
    let (objects, sizes) = ([objects(), Objects::default()], [SIZE, [100, 90]]);
    let twice = |feature: Tensor<Plain, 4>| Tensor::cat(vec![feature.clone(), feature * 0.7], 0);
    let features: Vec<Tensor<Plain, 4>> = features.into_iter().map(twice).collect();
    let found = [false, true].map(|is_staged| {
        let leaves: Vec<Tensor<Tracked, 4>> = features.iter().map(leaf).collect();
        let truth = BatchTargets {
            objects: &objects,
            sizes: &sizes,
            mask,
            seed: 3,
        };
        let loss = if is_staged {
            model.loss(&leaves, &truth)
        } else {
            model.losses(&leaves, &truth).total(&config)
        };
        let value = loss.clone().into_data();
        // As a part of another loss, whose factor must reach everything.
        let backward = (loss * 0.5).backward();
        let mut all = gradients(&model, &backward);
        for (stage, leaf) in leaves.iter().enumerate() {
            let gradient = leaf.grad(&backward).expect("a gradient");
            all.insert(format!("feature.{stage}"), gradient.into_data());
        }
        (value, all)
    });
    let [(at_once, expected), (staged, actual)] = found;
    // The same terms, summed in another order.
    assert_close("the loss", &staged, &at_once, 1e-6);
    assert_eq!(
        actual.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    assert_gradients(&actual, &expected, 1e-5);
}
