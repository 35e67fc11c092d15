//! What a step refuses, and what it does not wait for.

use burn::module::Module;
use burn::optim::GradientsParams;
use gradway::data::DenseBatch;
use gradway::trainer::{
    Labels, Optimizer, OptimizerConfig, OptimizerName, RunConfig, Segmentation, SegmentationTask,
    TrainError, Trainer, config,
};
use gradway_adapters::{Encoder, collect, count, freeze_unread, is_statistic, table};
use gradway_backbone::{AnyBackbone, Backbone, BackboneConfig, Phase};
use gradway_tests::{Plain, Tracked, gradients, parameters, scenes};

const SIDE: u32 = 64;

fn parsed(backbone: &str, method: &str, head: &str, rest: &str) -> RunConfig {
    let text = format!(
        r#"
        backbone = {{ name = "{backbone}" }}
        method = {{ name = "{method}" }}
        head = {head}
        data = {{ format = "synthetic", width = {SIDE}, height = {SIDE} }}
        augment = {{ crop_size = [{SIDE}, {SIDE}] }}
        {rest}
        "#
    );
    config::parse(&text, "the test", &[]).unwrap()
}

fn built(config: &RunConfig) -> (Segmentation<Tracked>, Trainer<Tracked, SegmentationTask>) {
    let device = Default::default();
    let model = Segmentation::new(config, &Labels::unnamed(12), &device).unwrap();
    let trainer = Trainer::new(config, &model, 10, &device);
    (model, trainer)
}

fn named(mut batch: DenseBatch, names: [&str; 2]) -> DenseBatch {
    for (item, name) in batch.items.iter_mut().zip(names) {
        item.id = name.to_string();
    }
    batch
}

#[test]
fn what_is_no_number_ends_a_step_that_names_the_images() {
    let segformer = r#"{ name = "segformer", channels = 16 }"#;
    for clip in ["", ", clip_norm = 1.0"] {
        let optimizer = format!("optimizer = {{ accumulation = 2{clip} }}");
        let config = parsed("swin_mini", "full", segformer, &optimizer);
        let (model, mut trainer) = built(&config);
        let sound = named(scenes(2, SIDE), ["a", "b"]);
        let (model, report) = trainer
            .step(model, &[sound.clone(), sound.clone()])
            .unwrap();
        // Clipping reads nothing of its own.
        assert_eq!(report.reads, 1, "{clip}");
        let mut broken = named(scenes(2, SIDE), ["c", "d"]);
        broken.images[0] = f32::NAN;
        let error = trainer.step(model, &[sound, broken]).unwrap_err();
        let TrainError::NotFinite {
            step, ref images, ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!((step, images.join(" ").as_str()), (2, "c d"));
        let text = error.to_string();
        assert!(
            text.contains("the loss is NaN in step 2, so the step is not taken"),
            "{text}"
        );
        assert!(text.contains("images: `c`, `d`"), "{text}");
        assert!(error.hint().unwrap().contains("optimizer.learning_rate"));
    }
}

#[test]
fn a_norm_that_is_no_number_ends_a_step() {
    // Logits of zero and a finite loss, but a classifier whose inputs are huge: so is its gradient, and the square of
    // that no number.
    let segformer = r#"{ name = "segformer", channels = 16, dropout = 0.0 }"#;
    let config = parsed("swin_mini", "fixed", segformer, "");
    let (mut model, mut trainer) = built(&config);
    let huge = gradway_tests::fill::<Tracked, _>(model.trainable.head, |path, shape| {
        let value = if path.ends_with("fuse.norm.beta") {
            1e25f32
        } else {
            0.0
        };
        let count = shape.iter().product();
        burn::tensor::TensorData::new(vec![value; count], shape.to_vec())
    });
    model.trainable.head = huge;
    let batch = named(scenes(2, SIDE), ["a", "b"]);
    let outcome = trainer.step(model, &[batch]);
    let error = outcome.map(|(_, report)| report).unwrap_err().to_string();
    assert!(
        error.contains("the norm of the gradients is inf in step 1"),
        "{error}"
    );
    assert!(error.contains("images: `a`, `b`"), "{error}");
}

#[test]
fn clipping_does_not_hide_a_norm_that_is_no_number() {
    let config = OptimizerConfig {
        name: OptimizerName::Sgd,
        clip_norm: Some(1.0),
        ..OptimizerConfig::default()
    };
    let segformer = r#"{ name = "segformer", channels = 16 }"#;
    let run = parsed("swin_mini", "fixed", segformer, "");
    let (model, _) = built(&run);
    let device = Default::default();
    let phase = Phase::Training { seed: 0 };
    let loss = model.loss(&scenes(2, SIDE), phase, &device).unwrap().total;
    let gradients = GradientsParams::from_grads(loss.backward(), &model.trainable);
    let mut optimizer = Optimizer::new(&config, &model.trainable, model.encoder.depths());
    let updated = optimizer.update(0.1, model.trainable, gradients, f64::NAN);
    let values = collect::<Tracked, _>(&updated).into_iter();
    for (path, values) in values.filter(|(path, _)| !is_statistic(path)) {
        assert!(values.iter::<f32>().all(f32::is_nan), "{path}");
    }
}

#[test]
fn every_method_trains_under_a_head_of_any_one_stage() {
    for method in table() {
        for stage in 0..4 {
            let name = format!("{} with stage {stage}", method.name);
            let head =
                format!(r#"{{ name = "fcn", stage = {stage}, channels = 16, dropout = 0.0 }}"#);
            let config = parsed("swin_mini", method.name, &head, "");
            let (model, mut trainer) = built(&config);
            let frozen = model.unread().to_vec();
            // What the head does not read is not said to be trained.
            let trained = collect::<Tracked, _>(&model.trainable);
            assert!(
                frozen
                    .iter()
                    .all(|path| !trained.contains_key(&format!("method.{path}"))),
                "{name}"
            );
            let before = parameters::<Tracked, _>(&model.trainable);
            let batch = scenes(2, SIDE);
            let step = trainer.step(model, std::slice::from_ref(&batch));
            let (model, _) = step.unwrap_or_else(|error| panic!("{name}: {error}"));
            let loss = model.loss(&batch, Phase::Training { seed: 0 }, &Default::default());
            let loss = loss.unwrap().total;
            let with_gradient = gradients::<Tracked, _>(&model.trainable, &loss.backward());
            let after = parameters::<Tracked, _>(&model.trainable);
            for path in &frozen {
                let path = format!("method.{path}");
                assert!(!with_gradient.contains_key(&path), "{name}: {path}");
                assert_eq!(before[&path], after[&path], "{name}: {path}");
            }
            // A task's own part of a stage serves that stage alone.
            let serves_a_stage =
                |path: &str| path.contains("norms.norms") || path.contains(".tasks.");
            let behind = frozen.iter().any(|path| !serves_a_stage(path));
            // Those that have something of their own in every block.
            let of_blocks = [
                "e3va", "full", "adapter", "lora", "bitfit", "partial", "mona",
            ];
            match stage {
                3 => assert!(
                    !behind || method.name.starts_with("vmt_"),
                    "{name}: {frozen:?}"
                ),
                _ => assert!(behind || !of_blocks.contains(&method.name), "{name}"),
            }
        }
    }
}

#[test]
fn what_is_frozen_behind_a_stage_is_what_a_listing_counts() {
    for backbone in [
        "swin_mini",
        "efficientnet_lite0",
        "vit_mini",
        "convnext_mini",
    ] {
        for method in ["e3va", "full", "adapter"] {
            let head = r#"{ name = "fcn", channels = 16 }"#;
            let config = parsed(backbone, method, head, "");
            let (model, _) = built(&config);
            let device = Default::default();
            let plain = BackboneConfig::named(backbone)
                .init::<Plain>(&device)
                .unwrap();
            assert_eq!(plain.description().stages().count(), 4);
            let (encoder, tuned) = Encoder::<Tracked>::new(&config.method, plain, &device).unwrap();
            let all = count::<Tracked, _>(&tuned).total;
            let read = config.stages_read().unwrap();
            let (tuned, frozen) = freeze_unread(&encoder, tuned, |stage| read[stage], &device);
            assert_eq!(frozen, model.unread(), "{method} on {backbone}");
            let left = count::<Tracked, _>(&tuned);
            assert_eq!(
                left,
                count(&model.trainable.method),
                "{method} on {backbone}"
            );
            assert!(left.total < all, "{method} on {backbone}");
        }
    }
}

#[test]
fn a_random_backbone_that_stays_so_is_told_from_one_that_is_trained() {
    let segformer = r#"{ name = "segformer", channels = 16 }"#;
    for backbone in [
        "swin_mini",
        "efficientnet_lite0",
        "vit_mini",
        "convnext_mini",
    ] {
        let frozen = |method: &str| {
            let config = parsed(backbone, method, segformer, "");
            built(&config).0.frozen()
        };
        assert_eq!(frozen("full"), 0, "{backbone}");
        let plain = BackboneConfig::named(backbone).init::<Plain>(&Default::default());
        let plain = plain.unwrap();
        let unused = match &plain {
            AnyBackbone::Vit(network) => network.norm.num_params(),
            AnyBackbone::ConvNext(network) => network.norm.num_params(),
            _ => 0,
        };
        let all = plain.num_params() - unused;
        assert_eq!(frozen("e3va"), all, "{backbone}");
        assert_eq!(frozen("adapter"), all, "{backbone}");
        assert!((1..all).contains(&frozen("bitfit")), "{backbone}");
    }
}
