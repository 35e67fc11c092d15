//! Every head on every family of backbones, behind the neck that both choose and behind those that can be named.

use burn::tensor::{Distribution, Tensor};
use gradway::trainer::{Labels, RunConfig, Segmentation, Trainer, config};
use gradway_adapters::collect;
use gradway_backbone::{BackboneConfig, Phase, StageShape};
use gradway_heads::HeadTask;
use gradway_heads::detection::{BatchTargets, Bounds, DetectorConfig, Objects};
use gradway_heads::neck::NeckConfig;
use gradway_tests::{Tensors, Tracked, gradients, largest, parameters, scenes};

const SIDE: u32 = 64;

fn parsed(backbone: &str, head: &str, neck: &str) -> RunConfig {
    let text = format!(
        r#"
        backbone = {{ name = "{backbone}" }}
        method = {{ name = "fixed" }}
        head = {head}
        data = {{ format = "synthetic", width = {SIDE}, height = {SIDE} }}
        augment = {{ crop_size = [{SIDE}, {SIDE}] }}
        {neck}
        "#
    );
    config::parse(&text, "the test", &[]).unwrap()
}

/// The heads of a task, narrow where they can be.
fn heads(task: HeadTask) -> impl Iterator<Item = (&'static str, String)> {
    let lines = gradway_heads::table().iter();
    lines.filter(move |line| line.task == task).map(|line| {
        let fields = match line.name {
            "upernet" => ", channels = 16, auxiliary = { channels = 16 }",
            "hrnet" => ", widths = [4, 4, 4, 4]",
            "linear" => ", maps = 4",
            "dpt" => ", channels = 16",
            _ => ", channels = 16",
        };
        (line.name, format!("{{ name = \"{}\"{fields} }}", line.name))
    })
}

/// Asserts that every parameter of a neck has a gradient, and returns the paths of those whose gradient is zero.
fn without_change(of_neck: &[&String], gradients: &Tensors, what: &str) -> Vec<String> {
    let trained = of_neck.iter().filter(|path| !path.contains("running"));
    let is_zero = |path: &&&String| {
        let gradient = gradients.get(**path);
        let gradient = gradient.unwrap_or_else(|| panic!("{what}: no gradient of {path}"));
        let size = largest(gradient.iter::<f64>());
        assert!(size.is_finite(), "{what}: {path} has {size}");
        size == 0.0
    };
    trained
        .filter(is_zero)
        .map(|path| path.to_string())
        .collect()
}

#[test]
fn every_head_takes_a_step_on_every_family() {
    let device = Default::default();
    let batch = scenes(2, SIDE);
    for backbone in ["swin_mini", "vit_mini", "efficientnet_lite0"] {
        for (name, head) in heads(HeadTask::Segmentation) {
            let necks: &[&str] = match backbone {
                "vit_mini" => &[
                    "",
                    "neck = { name = \"none\" }",
                    "neck = { name = \"pyramid\" }",
                    "neck = { name = \"simple_pyramid\", channels = 8 }",
                ],
                _ => &[""],
            };
            for neck in necks {
                let what = format!("{name} on {backbone}, {neck}");
                let config = parsed(backbone, &head, neck);
                let model = Segmentation::new(&config, &Labels::unnamed(12), &device).unwrap();
                let phase = Phase::Training { seed: 0 };
                let loss = model.loss(&batch, phase, &device).unwrap().total;
                let reached = gradients::<Tracked, _>(&model.trainable, &loss.backward());
                let all = parameters::<Tracked, _>(&model.trainable);
                let of_neck = all.keys().filter(|path| path.starts_with("head.neck"));
                let of_neck: Vec<&String> = of_neck.collect();
                let mut unchanged = without_change(&of_neck, &reached, &what);
                // A batch norm takes a bias before it away again: its gradient is rounding, or nothing.
                unchanged.retain(|path| !path.ends_with("bias"));
                assert!(unchanged.is_empty(), "{what}: {unchanged:?}");
                let is_made = !of_neck.is_empty();
                let is_named = neck.contains("pyramid");
                let by_default = neck.is_empty() && backbone == "vit_mini" && name == "upernet";
                // Where a head reads the third map alone it has no parameters before a simple pyramid's convolutions.
                let reads_one = name == "fcn" && neck.contains("\"pyramid");
                assert_eq!(is_made, (is_named || by_default) && !reads_one, "{what}");
                // A checkpoint has all of it.
                let saved = collect::<Tracked, _>(&model.trainable);
                for path in of_neck {
                    assert!(saved.contains_key(path), "{what}: {path}");
                }
                let mut trainer = Trainer::new(&config, &model, 10, &device);
                let step = trainer.step(model, std::slice::from_ref(&batch));
                let (_, report) = step.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(report.loss.is_finite(), "{what}");
            }
        }
    }
}

#[test]
fn the_gradient_of_a_detector_reaches_its_neck() {
    let device = Default::default();
    let size = [84, 112];
    let objects = [Objects {
        bounds: vec![[8.0, 10.0, 60.0, 70.0]],
        classes: vec![1],
    }];
    let backbone = BackboneConfig::named("vit_mini");
    let stages: &[StageShape] = &backbone.descriptor().unwrap().stages;
    let features: Vec<Tensor<Tracked, 4>> = stages
        .iter()
        .map(|stage| {
            let [height, width] = size.map(|side: usize| side / stage.stride);
            let shape = [1, stage.channels, height, width];
            Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device)
        })
        .collect();
    for (name, head) in heads(HeadTask::Detection) {
        let config: DetectorConfig = toml::from_str(&format!("head = {head}"))
            .map(|table: std::collections::BTreeMap<String, DetectorConfig>| table["head"].clone())
            .unwrap();
        let depths: NeckConfig = toml::from_str("name = \"pyramid\"").unwrap();
        for neck in [config.neck(), depths] {
            assert_eq!(config.validate(&neck.maps(stages)), Ok(()), "{name}");
            let model = config.on::<Tracked>(&neck, stages, 2, &device);
            let truth = BatchTargets {
                objects: &objects,
                sizes: &[size],
                mask: |_: usize, _: usize, _: Bounds| vec![true; 28 * 28],
                seed: 1,
            };
            let loss = model.loss(&features, &truth, Phase::Training { seed: 0 });
            let reached = gradients::<Tracked, _>(&model, &loss.backward());
            let all = parameters::<Tracked, _>(&model);
            let what = format!("{name} behind {}", neck.name());
            let of_neck = all.keys().filter(|path| path.starts_with("neck."));
            let of_neck: Vec<&String> = of_neck.collect();
            // A level of which no anchor is sampled has a gradient of zero.
            let unchanged = without_change(&of_neck, &reached, &what);
            assert!(unchanged.len() < of_neck.len() / 2, "{what}: {unchanged:?}");
        }
    }
}
