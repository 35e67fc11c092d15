//! Rates that differ between what a model is made of.

use gradway::trainer::{RunConfig, Segmentation, SegmentationTask, Trainer, config};
use gradway_tests::{Tensors, Tracked, parameters, scenes};
use gradway_trainer::Labels;

type Model = Segmentation<Tracked>;

fn configured(optimizer: &str) -> RunConfig {
    let text = format!(
        r#"
        backbone = {{ name = "swin_mini" }}
        method = {{ name = "full" }}
        head = {{ name = "segformer", channels = 16 }}
        data = {{ format = "synthetic", width = 64, height = 64 }}
        optimizer = {{ {optimizer} }}
        schedule = {{ decay = {{ name = "constant" }} }}
        "#
    );
    config::parse(&text, "the test", &[]).unwrap()
}

/// A model whose weights are drawn: those of two models may differ, since all tests of a process draw from one source.
fn model(config: &RunConfig) -> Model {
    let model = Segmentation::new(config, &Labels::unnamed(12), &Default::default()).unwrap();
    parameters::<Tracked, _>(&model.trainable);
    model
}

/// What one step adds to every parameter of a model.
fn changes(model: &Model, config: &RunConfig) -> Tensors {
    let mut trainer: Trainer<Tracked, SegmentationTask> =
        Trainer::new(config, model, 10, &Default::default());
    let before = parameters::<Tracked, _>(&model.trainable);
    let (model, _) = trainer.step(model.clone(), &[scenes(2, 64)]).unwrap();
    let after = parameters::<Tracked, _>(&model.trainable).into_iter();
    let changes = after.map(|(path, after)| {
        let pairs = after.iter::<f32>().zip(before[&path].iter::<f32>());
        let change = pairs.map(|(after, before)| after - before).collect();
        (
            path,
            burn::tensor::TensorData::new(change, after.shape.clone()),
        )
    });
    changes.collect()
}

/// Without momentum and decay a step of SGD is the rate times the gradient.
#[test]
fn a_step_is_as_long_as_the_factors_say() {
    const PLAIN: &str = r#"name = "sgd", learning_rate = 0.5, momentum = 0.0, weight_decay = 0.0"#;
    let plain = configured(PLAIN);
    let model = model(&plain);
    let plain = changes(&model, &plain);
    let factors = "rates = { backbone = 0.25, method = 2.0, head = 4.0 }, layer_decay = 0.5";
    let scaled = changes(&model, &configured(&format!("{PLAIN}, {factors}")));
    for (path, factor) in [
        ("classifier.weight", 4.0),
        ("method.Full.norms.norms.2.gamma", 2.0),
        // Eight blocks, of which the last is halved once.
        (
            "method.Full.backbone.Swin.layers.3.blocks.1.mlp.fc1.weight",
            0.125,
        ),
        (
            "method.Full.backbone.Swin.layers.3.downsample.reduction.weight",
            0.03125,
        ),
        (
            "method.Full.backbone.Swin.patch_embed.proj.weight",
            0.25 / 512.0,
        ),
    ] {
        let at = |changes: &Tensors| {
            let found = changes.iter().find(|(name, _)| name.ends_with(path));
            let (_, data) = found.unwrap_or_else(|| panic!("{path}: {:?}", changes.keys()));
            data.iter::<f64>().collect::<Vec<_>>()
        };
        let (plain, scaled) = (at(&plain), at(&scaled));
        let largest = plain
            .iter()
            .fold(0.0, |most: f64, value| most.max(value.abs()));
        assert!(largest > 0.0, "{path}");
        for (plain, scaled) in plain.iter().zip(scaled) {
            // A change is a difference of numbers of size 1 in single precision.
            let error = (scaled - factor * plain).abs();
            assert!(
                error < 1e-3 * factor * largest + 2e-7,
                "{path}: {scaled}, not {factor} of {plain}"
            );
        }
    }
}
