//! The contract of a method, for every method of the table.

use std::collections::BTreeSet;
use std::path::Path;

use burn::module::AutodiffModule;
use burn::nn::LayerNormConfig;
use burn::tensor::{Tensor, TensorData};
use gradway::trainer::{Labels, Segmentation, SegmentationTask, TrainError, Trainer, config};
use gradway_adapters::{
    Around, Base, Encoder, MethodConfig, Placement, SavedAdapter, Tuned, collect, is_statistic,
    table,
};
use gradway_backbone::{AnyBackbone, Backbone, BackboneConfig, Phase, Precision};
use gradway_tests::{Plain, Tracked, fill, gradients, largest_difference, parameters, scenes};

const BACKBONES: [&str; 4] = [
    "swin_mini",
    "efficientnet_lite0",
    "vit_mini",
    "convnext_mini",
];

fn model(
    backbone: &str,
    method: &str,
) -> (Segmentation<Tracked>, Trainer<Tracked, SegmentationTask>) {
    let method = match method {
        "lora" => format!(r#""lora", targets = {}"#, targets(backbone)),
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
    let model = Segmentation::new(&config, &Labels::unnamed(12), &device).unwrap();
    let trainer = Trainer::new(&config, &model, 10, &device);
    (model, trainer)
}

/// All projections of a backbone that LoRA updates.
fn targets(backbone: &str) -> &'static str {
    match backbone {
        "convnext_mini" => r#"["fc1", "fc2"]"#,
        _ => r#"["q", "k", "v", "proj", "fc1", "fc2"]"#,
    }
}

/// Every method on every backbone that it fits.
fn every(test: impl Fn(&str, &str)) {
    for method in table() {
        for backbone in BACKBONES {
            let description = described(backbone).description();
            let config = configured(backbone, method.name);
            if config.check(&description).is_ok() {
                test(backbone, method.name);
            }
        }
    }
}

/// A method with all of its parts on a backbone.
fn configured(backbone: &str, method: &str) -> MethodConfig {
    let fields = match method {
        "lora" => vec![format!("method.targets={}", targets(backbone))],
        _ => Vec::new(),
    };
    config::method(method, &fields).unwrap()
}

/// Images of an odd size.
fn images() -> Tensor<Plain, 4> {
    let shape = [2, 3, 60, 53];
    let values = (0..shape.iter().product()).map(|index| 10.0 * small(3, index));
    Tensor::from_data(
        TensorData::new(values.collect(), shape),
        &Default::default(),
    )
}

fn small(seed: usize, index: usize) -> f32 {
    (seed.wrapping_add(index.wrapping_mul(7919)) % 1009) as f32 / 5045.0 - 0.1
}

fn seed_of(path: &str) -> usize {
    path.bytes().fold(7, |seed: usize, byte| {
        seed.wrapping_mul(31).wrapping_add(byte as usize)
    })
}

/// A backbone of the same weights for every method: a random weight is drawn when it is first read,
/// whose order is the method's.
fn filled(backbone: &str, seed: usize) -> AnyBackbone<Plain> {
    fill(described(backbone), |path, shape| {
        let seed = seed_of(path).wrapping_add(seed);
        let values = (0..shape.iter().product()).map(|index| small(seed, index));
        TensorData::new(values.collect(), shape.to_vec())
    })
}

/// The features of all tasks, one after the other.
fn of_every_task(encoder: &Encoder<Tracked>, tuned: &Tuned<Tracked>) -> Vec<TensorData> {
    let plain = tuned.valid();
    let features = encoder.features_inference(&plain, images());
    let tasks = (0..tuned.tasks()).flat_map(|task| features.of_task(task));
    tasks.map(Tensor::into_data).collect()
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
        // What starts at zero holds back the gradients behind it in the first step, and of two of them one
        // behind the other in the second.
        let (model, first) = trainer.step(model, std::slice::from_ref(&batch)).unwrap();
        assert_eq!(first.reads, 1, "{backbone} {method}");
        let (model, _) = trainer.step(model, std::slice::from_ref(&batch)).unwrap();

        let changed = collect::<Tracked, _>(&model.trainable).into_keys();
        let trained: BTreeSet<String> = changed.filter(|path| !is_statistic(path)).collect();
        let phase = Phase::Training { seed: 0 };
        let loss = model
            .loss(&batch, phase, &Default::default())
            .unwrap()
            .total;
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
    let features = |backbone: &str, method: &str| -> Vec<TensorData> {
        let method = configured(backbone, method);
        let backbone = filled(backbone, 7);
        let (encoder, tuned) =
            Encoder::<Tracked>::new(&method, backbone, &Default::default()).unwrap();
        of_every_task(&encoder, &tuned)
    };
    every(|backbone, method| {
        if !configured(backbone, method).descriptor().starts_frozen {
            return;
        }
        let pairs = features(backbone, method);
        let pairs = pairs.iter().zip(features(backbone, "fixed"));
        for (stage, (tuned, fixed)) in pairs.enumerate() {
            let place = format!("{method} on {backbone}, stage {stage}");
            assert_eq!(tuned.shape, fixed.shape, "{place}");
            assert_eq!(largest_difference(tuned, &fixed), 0.0, "{place}");
        }
    });
}

/// A base whose weights differ between seeds, and a method on it after some steps' worth of change.
fn changed(backbone: &str, method: &str, seed: usize) -> (Base<Tracked>, SavedAdapter) {
    let device = Default::default();
    let base = Base::<Tracked>::new(
        &BackboneConfig::named(backbone),
        filled(backbone, seed),
        &device,
    );
    let config = configured(backbone, method);
    let (_, tuned) = base.bare(&config).unwrap();
    let fresh = SavedAdapter::new(&base, config, &tuned);
    let weights = fresh.weights.into_iter().map(|(path, data)| {
        let seed = seed_of(&path);
        let values = data.iter::<f32>().enumerate();
        let values = values.map(|(index, value)| value + 0.3 * small(seed + 1, index));
        let shape = data.shape.clone();
        (path, TensorData::new(values.collect(), shape))
    });
    let weights = weights.collect();
    (base, SavedAdapter { weights, ..fresh })
}

#[test]
fn a_saved_adapter_gives_the_same_features_on_its_base_and_is_refused_by_another() {
    every(|backbone, method| {
        let folder = tempfile::tempdir().unwrap();
        let (base, adapter) = changed(backbone, method, 7);
        adapter.save(folder.path()).unwrap();
        let loaded = SavedAdapter::load(folder.path()).unwrap();
        assert_eq!(loaded, adapter, "{method} on {backbone}");
        let (encoder, tuned) = base.with(loaded, folder.path()).unwrap();
        let (_, original) = base.with(adapter.clone(), folder.path()).unwrap();
        let features = [tuned, original].map(|tuned| of_every_task(&encoder, &tuned));
        assert_eq!(features[0], features[1], "{method} on {backbone}");

        let other = Base::<Tracked>::new(
            &BackboneConfig::named(backbone),
            filled(backbone, 8),
            &Default::default(),
        );
        let error = other.with(adapter, folder.path()).unwrap_err().to_string();
        for hash in [base.hash(), other.hash()] {
            assert!(error.contains(hash), "{error}");
        }
    });
}

#[test]
fn merged_or_refused() {
    every(|backbone, method| {
        let name = format!("{method} on {backbone}");
        let (base, adapter) = changed(backbone, method, 7);
        let config = adapter.info.method.clone();
        let (encoder, tuned) = base.with(adapter, Path::new("")).unwrap();
        let merged = match (config.merge(&tuned), config.descriptor().merges) {
            (Ok(merged), Ok(())) => merged,
            (Err(error), Err(reason)) => {
                assert!(error.to_string().contains(reason), "{error}");
                return;
            }
            (merged, expected) => panic!("{name}: {expected:?}, but {}", merged.is_ok()),
        };
        let apart = of_every_task(&encoder, &tuned);
        let together = merged.valid().features(images(), Phase::Inference);
        for (stage, (apart, together)) in apart.into_iter().zip(together).enumerate() {
            let together = together.into_data();
            let scale = apart
                .iter::<f32>()
                .fold(0.0, |most: f32, value| most.max(value.abs()));
            let difference = largest_difference(&apart, &together);
            // Rounding, as of one more product in single precision per layer.
            assert!(
                difference < 1e-4 * f64::from(scale),
                "{name}, stage {stage}: {difference}"
            );
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

/// How far apart values are, over the norm of those of single precision.
fn distance(single: &TensorData, rounded: &TensorData) -> f64 {
    let [single, rounded] = [single, rounded].map(|data| data.iter::<f64>().collect::<Vec<_>>());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let between = norm(&mut single.iter().zip(&rounded).map(|(a, b)| a - b));
    between / norm(&mut single.iter().copied())
}

#[test]
fn a_frozen_backbone_is_rounded_and_what_is_beside_it_is_not() {
    every(|backbone, method| {
        let config = configured(backbone, method);
        if config.descriptor().placement != Placement::Frozen {
            return;
        }
        let name = format!("{method} on {backbone}");
        let run = |precision| {
            let device = Default::default();
            let frozen = filled(backbone, 1);
            let (encoder, tuned) = Encoder::<Tracked>::new(&config, frozen, &device).unwrap();
            let encoder = encoder.rounded(precision);
            let tuned = fill(tuned, |path, shape| {
                let values = (0..shape.iter().product()).map(|index| small(seed_of(path), index));
                TensorData::new(values.collect(), shape.to_vec())
            });
            let features = encoder.features(&tuned, images(), Phase::Inference);
            let maps = features.of_task(0);
            let loss = maps.iter().map(|map| map.clone().powi_scalar(2).mean());
            let loss = loss.reduce(|sum, one| sum + one).unwrap();
            let gradients = gradients::<Tracked, _>(&tuned, &loss.backward());
            let maps: Vec<TensorData> = maps.into_iter().map(Tensor::into_data).collect();
            let plain = of_every_task(&encoder, &tuned);
            // Rounding depends on how a product is cut up, not on whether a graph is recorded.
            assert_eq!(plain[0], maps[0], "{name}");
            (maps, gradients, encoder.frozen_bytes())
        };
        let (maps, gradients, bytes) = run(Precision::F32);
        let (rounded_maps, rounded_gradients, rounded_bytes) = run(Precision::Bf16);
        assert_eq!(bytes, 2 * rounded_bytes, "{name}");
        // Eight bits, through up to seventy layers.
        for (single, rounded) in maps.iter().zip(&rounded_maps) {
            assert_eq!(rounded.dtype, single.dtype, "{name}");
            let distance = distance(single, rounded);
            assert!((1e-4..0.05).contains(&distance), "{name}: {distance}");
        }
        for (path, single) in &gradients {
            let distance = distance(single, &rounded_gradients[path]);
            assert!(distance < 0.1, "{name}, {path}: {distance}");
        }
    });
}

#[test]
fn a_backbone_that_is_back_propagated_through_is_not_rounded() {
    let text = r#"
        backbone = { name = "swin_mini", precision = "bf16" }
        method = { name = "lora" }
        head = { name = "segformer" }
        data = { format = "synthetic" }
        "#;
    let error = config::parse(text, "the test", &[]).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains(r#"backbone.precision = "bf16", but method.name = "lora""#),
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
