//! Necks, DINOv2's linear head and DPT against PyTorch: outputs, gradients and running statistics, on odd sides.

use burn::module::Module;
use burn::tensor::Tensor;
use gradway_backbone::{Phase, StageShape};
use gradway_heads::dpt::DptConfig;
use gradway_heads::linear::LinearConfig;
use gradway_heads::neck::pyramid::PyramidConfig;
use gradway_heads::neck::simple_pyramid::SimplePyramidConfig;
use gradway_heads::neck::{Neck, NeckSettings};
use gradway_heads::{Decoder, MapShape};
use gradway_tests::{
    Golden, Tensors, Tracked, assert_close, assert_gradients, fill, gradients, parameters,
};

/// As of heads; the deepest of these has twice the layers of one, and shows at most 2e-6.
const OUTPUT: f64 = 1e-5;
const GRADIENTS: f64 = 5e-5;

const CLASSES: usize = 5;

/// Stages of one stride.
fn level(widths: [usize; 4]) -> [StageShape; 4] {
    widths.map(|channels| StageShape {
        channels,
        stride: 14,
    })
}

/// Maps of growing strides.
fn growing() -> Vec<MapShape> {
    let maps = [8, 12, 16, 20].into_iter().zip([4, 8, 16, 32]);
    maps.map(|(channels, stride)| MapShape::from(StageShape { channels, stride }))
        .collect()
}

/// Compares a module in evaluation and in training.
fn assert_golden<M: Module<Tracked>>(
    name: &str,
    module: M,
    forward: impl Fn(&M, &[Tensor<Tracked, 4>], Phase) -> Vec<Tensor<Tracked, 4>>,
) {
    let golden = Golden::open(name);
    let filled = |path: &str, _: &[usize]| golden.data(&format!("parameter.{path}"));
    let modes = [
        ("eval", Phase::Inference),
        ("train", Phase::Training { seed: 0 }),
    ];
    for (mode, phase) in modes {
        let module = fill(module.clone(), filled);
        let features: Vec<Tensor<Tracked, 4>> = (0..4)
            .map(|map| golden.tensor(&format!("input.{map}")).require_grad())
            .collect();
        let outputs = forward(&module, &features, phase);
        let expected = golden.below(&format!("{mode}.output."));
        assert_eq!(outputs.len(), expected.len(), "{name}");
        let mut loss: Option<Tensor<Tracked, 1>> = None;
        for (index, output) in outputs.into_iter().enumerate() {
            let what = format!("{name}, {mode}: output {index}");
            assert_close(
                &what,
                &output.to_data(),
                &expected[&index.to_string()],
                OUTPUT,
            );
            let term = (output * golden.tensor(&format!("weight.{index}"))).sum();
            loss = Some(loss.map_or(term.clone(), |loss| loss + term));
        }
        let grads = loss.unwrap().backward();
        let own = gradients::<Tracked, _>(&module, &grads).into_iter();
        let mut actual: Tensors = own
            .map(|(path, data)| (format!("parameter.{path}"), data))
            .collect();
        for (map, feature) in features.iter().enumerate() {
            if let Some(gradient) = feature.grad(&grads) {
                actual.insert(format!("input.{map}"), gradient.into_data());
            }
        }
        let expected = golden.below(&format!("{mode}.gradient."));
        assert_gradients(&actual, &expected, GRADIENTS);
        let statistics = match mode {
            "train" => golden.below("train.after."),
            _ => golden.below("parameter."),
        };
        for (path, data) in parameters(&module) {
            if path.contains("running") {
                assert_close(&path, &data, &statistics[&path], OUTPUT);
            }
        }
    }
}

#[test]
fn pyramid() {
    let stages = level([6; 4]);
    let config = PyramidConfig::default();
    assert_eq!(config.validate(&stages), Ok(()));
    let neck = config.init::<Tracked>(&stages, &|_| true, &Default::default());
    assert_golden("neck.pyramid", neck, |neck, features, phase| {
        neck.forward(features, phase)
    });
}

#[test]
fn simple_pyramid() {
    let stages = level([3, 3, 3, 12]);
    let config = SimplePyramidConfig {
        channels: 10,
        ..Default::default()
    };
    assert_eq!(config.validate(&stages), Ok(()));
    let neck = config.init::<Tracked>(&stages, &|_| true, &Default::default());
    assert_golden("neck.simple_pyramid", neck, |neck, features, phase| {
        neck.forward(features, phase)
    });
}

/// A map that a head does not read has no parameters, and the others are as they were.
#[test]
fn a_map_that_is_not_read_is_not_made() {
    let (stages, device) = (level([3, 3, 3, 12]), Default::default());
    let config = SimplePyramidConfig {
        channels: 10,
        ..Default::default()
    };
    let golden = Golden::open("neck.simple_pyramid");
    let neck = config.init::<Tracked>(&stages, &|map| map > 0, &device);
    let all = config.init::<Tracked>(&stages, &|_| true, &device);
    assert!(neck.num_params() < all.num_params());
    let neck = fill(neck, |path, _| golden.data(&format!("parameter.{path}")));
    let features: Vec<Tensor<Tracked, 4>> = (0..4)
        .map(|map| golden.tensor(&format!("input.{map}")))
        .collect();
    let maps = neck.forward(&features, Phase::Inference);
    assert_eq!(maps.len(), 4);
    for (index, map) in maps.iter().enumerate().skip(1) {
        let expected = golden.data(&format!("eval.output.{index}"));
        assert_close("a map", &map.to_data(), &expected, OUTPUT);
    }
}

#[test]
fn linear() {
    for maps in [1, 4] {
        let head = LinearConfig { maps }.init::<Tracked>(&growing(), CLASSES, &Default::default());
        assert_golden(&format!("linear_{maps}"), head, |head, features, phase| {
            vec![head.forward(features, phase)]
        });
    }
}

#[test]
fn dpt() {
    let config = DptConfig {
        channels: 6,
        widths: Some([4, 5, 6, 7]),
        dropout: 0.0,
        batch_norm: true,
    };
    let maps = MapShape::of_stages(&level([9; 4]));
    let head = config.init::<Tracked>(&maps, CLASSES, &Default::default());
    assert_golden("dpt", head, |head, features, phase| {
        vec![head.forward(features, phase)]
    });
}

#[test]
fn dpt_of_growing_strides() {
    let config = DptConfig {
        channels: 6,
        widths: None,
        dropout: 0.0,
        batch_norm: false,
    };
    let head = config.init::<Tracked>(&growing(), CLASSES, &Default::default());
    assert_golden("dpt_growing", head, |head, features, phase| {
        vec![head.forward(features, phase)]
    });
}
