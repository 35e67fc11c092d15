//! The contract of a method, for every method of the table.

use std::collections::BTreeSet;

use burn::module::AutodiffModule;
use burn::nn::LayerNormConfig;
use burn::tensor::{Distribution, Tensor, TensorData};
use gradway::trainer::{Segmentation, TrainError, Trainer, collect, config, is_statistic};
use gradway_adapters::{Encoder, Tuned, table};
use gradway_backbone::{AnyBackbone, Backbone, BackboneConfig, Phase};
use gradway_tests::{Plain, Tracked, fill, gradients, largest_difference, parameters, scenes};

const BACKBONES: [&str; 2] = ["swin_mini", "efficientnet_lite0"];

fn model(backbone: &str, method: &str) -> (Segmentation<Tracked>, Trainer<Tracked>) {
    // All of a method's parts at once.
    let method = match method {
        "lora" => r#""lora", targets = ["q", "k", "v", "proj", "fc1", "fc2"]"#.to_string(),
        _ => format!("{method:?}"),
    };
    let text = format!(
        r#"
        backbone = {{ name = "{backbone}" }}
        method = {{ name = {method} }}
        head = {{ name = "segformer", channels = 32 }}
        data = {{ format = "synthetic", width = 64, height = 64 }}
        optimizer = {{ learning_rate = 1e-3 }}
        schedule = {{ warmup_steps = 0 }}
        "#
    );
    let device = Default::default();
    let config = config::parse(&text, "the test", &[]).unwrap();
    let model = Segmentation::new(&config, 12, &device).unwrap();
    let trainer = Trainer::new(&config, &model, 10, &device);
    (model, trainer)
}

/// Every method on every backbone that it fits.
fn every(test: impl Fn(&str, &str)) {
    for method in table() {
        for backbone in BACKBONES {
            let description = described(backbone).description();
            let config = config::method(method.name, &[]).unwrap();
            if config.check(&description).is_ok() {
                test(backbone, method.name);
            }
        }
    }
}

/// A backbone whose weights are not drawn yet.
fn described(backbone: &str) -> AnyBackbone<Plain> {
    let backbone = BackboneConfig::named(backbone).init(&Default::default());
    backbone.unwrap()
}

#[test]
fn what_is_trained_has_a_gradient_and_moves_and_nothing_else_does() {
    every(|backbone, method| {
        let name = format!("{method} on {backbone}");
        let (model, mut trainer) = model(backbone, method);
        let batch = scenes(2, 64);
        let before = parameters::<Tracked, _>(&model.trainable);
        // What starts at zero holds back the gradients behind it in the first step.
        let (model, first) = trainer.step(model, std::slice::from_ref(&batch)).unwrap();

        let changed = collect::<Tracked, _>(&model.trainable).into_keys();
        let trained: BTreeSet<String> = changed.filter(|path| !is_statistic(path)).collect();
        let loss = model.loss(&batch, Phase::Training { seed: 0 }, &Default::default());
        let gradients = gradients::<Tracked, _>(&model.trainable, &loss.backward());
        let with_gradient: BTreeSet<String> = gradients.keys().cloned().collect();
        assert_eq!(with_gradient, trained, "{name}");
        for (path, gradient) in &gradients {
            let moves = gradient.iter::<f32>().any(|value| value != 0.0);
            assert!(moves, "{name}: the gradient of {path} is zero");
        }

        let (model, _) = trainer.step(model, std::slice::from_ref(&batch)).unwrap();
        let (model, last) = trainer.step(model, std::slice::from_ref(&batch)).unwrap();
        assert!(last.loss < first.loss, "{name}: {first:?}, then {last:?}");
        let after = parameters::<Tracked, _>(&model.trainable);
        for (path, after) in &after {
            let has_moved = after != &before[path];
            let should_move = trained.contains(path) || is_statistic(path);
            assert_eq!(has_moved, should_move, "{name}: {path}");
        }
    });
}

#[test]
fn methods_that_promise_it_start_from_the_frozen_backbone() {
    let images = Tensor::<Plain, 4>::random(
        [2, 3, 64, 64],
        Distribution::Normal(0.0, 1.0),
        &Default::default(),
    );
    let features = |backbone: &str, method: &str| -> Vec<TensorData> {
        let device = Default::default();
        // A random weight is drawn when it is first read, whose order is the method's.
        let backbone = fill(described(backbone), |path, shape| {
            let seed = path.bytes().fold(7, |seed: usize, byte| {
                seed.wrapping_mul(31).wrapping_add(byte as usize)
            });
            let value = |index: usize| ((seed + index * 7919) % 1009) as f32 / 5045.0 - 0.1;
            TensorData::new(
                (0..shape.iter().product()).map(value).collect(),
                shape.to_vec(),
            )
        });
        let method = config::method(method, &[]).unwrap();
        let (encoder, tuned) = Encoder::<Tracked>::new(&method, backbone, &device).unwrap();
        let features = encoder.features_inference(&tuned.valid(), images.clone());
        features.into_iter().map(Tensor::into_data).collect()
    };
    every(|backbone, method| {
        if !config::method(method, &[])
            .unwrap()
            .descriptor()
            .starts_frozen
        {
            return;
        }
        let pairs = features(backbone, method);
        let pairs = pairs.iter().zip(features(backbone, "fixed"));
        for (stage, (tuned, fixed)) in pairs.enumerate() {
            let difference = largest_difference(tuned, &fixed);
            assert_eq!(difference, 0.0, "{method} on {backbone}, stage {stage}");
        }
    });
}

#[test]
fn a_parameter_that_no_gradient_reaches_stops_the_run() {
    let (mut model, mut trainer) = model("swin_mini", "full");
    let Tuned::Full(full) = &mut model.trainable.method else {
        unreachable!("full is what was asked for");
    };
    // A fifth norm for four stages.
    let norm = LayerNormConfig::new(8).init(&Default::default());
    full.norms.norms.push(norm);
    let error = trainer.step(model, &[scenes(2, 64)]).unwrap_err();
    assert!(matches!(error, TrainError::Unreached { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("norms.norms.4.gamma` and 1 more"),
        "{error}"
    );
}

#[test]
fn a_method_that_does_not_fit_a_backbone_says_why() {
    let method = config::method("adaptformer", &[]).unwrap();
    let error = method.check(&described("efficientnet_lite0").description());
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("method.name = \"adaptformer\" does not fit"),
        "{error}"
    );
}
