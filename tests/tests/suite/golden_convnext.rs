//! ConvNeXt against timm, through the import of every publisher's files, and E3VA beside it against PyTorch.

use burn::tensor::{Tensor, TensorData};
use gradway_adapters::Beside;
use gradway_adapters::e3va::{E3va, E3vaConfig};
use gradway_backbone::convnext::ConvNextConfig;
use gradway_backbone::{
    AnyBackbone, Backbone, BackboneConfig, Checkpoint, ImportError, Phase, Relative, Untouched,
    export, hash_module, import,
};
use gradway_kernels::{ChannelAxis, Constant, channels_first};
use gradway_tests::{
    Golden, Plain, Tensors, Tracked, assert_close, assert_gradients, checkpoint, fill, golden_path,
    gradients, parameter_count,
};

/// Five blocks in single precision against double precision.
const STAGES: f64 = 1e-5;
/// The same behind a highway and back.
const GRADIENTS: f64 = 5e-5;
/// The loss is a sum over all outputs with cancellation, as a gradient is.
const LOSS: f64 = GRADIENTS;

/// Files of one network.
const PUBLISHERS: [&str; 6] = [
    "timm",
    "meta",
    "transformers",
    "dinov3",
    "dinov3_in_memory",
    "torchvision",
];

fn convnext() -> AnyBackbone<Plain> {
    let config = ConvNextConfig {
        channels: vec![4, 6, 8, 10],
        depths: vec![1, 1, 2, 1],
        drop_path: 0.0,
    };
    AnyBackbone::ConvNext(config.init(&Default::default()))
}

fn weights(publisher: &str) -> Checkpoint {
    let file = format!("convnext.{publisher}.weights.safetensors");
    Checkpoint::open(&golden_path(&file)).unwrap()
}

fn imported(publisher: &str) -> AnyBackbone<Plain> {
    import(convnext(), &weights(publisher)).unwrap().0
}

fn assert_outputs(backbone: &AnyBackbone<Plain>) {
    let golden = Golden::open("convnext.io");
    for size in ["own", "other"] {
        let images: Tensor<Plain, 4> = golden.tensor(&format!("{size}.input"));
        let stages = backbone.forward(images, Phase::Inference, &mut Untouched);
        assert_eq!(stages.len(), 4);
        for (index, stage) in stages.into_iter().enumerate() {
            let stage = channels_first(stage, ChannelAxis::Last).into_data();
            let key = format!("{size}.stage{index}");
            assert_close(&key, &stage, &golden.data(&key), STAGES);
        }
    }
}

#[test]
fn stages_equal_the_golden_at_sizes_with_and_without_remainders() {
    assert_outputs(&imported("timm"));
}

#[test]
fn files_of_every_publisher_hold_the_same_network() {
    let expected = hash_module(&imported("timm"));
    for publisher in PUBLISHERS {
        let file = weights(publisher);
        let (backbone, report) = import(convnext(), &file).unwrap();
        assert_eq!(hash_module(&backbone), expected, "{publisher}");
        // The classifiers of those that have one.
        let classifier = match publisher {
            "timm" | "meta" | "torchvision" => 2,
            _ => 0,
        };
        assert_eq!(report.skipped.len(), classifier, "{publisher}");
        assert!(
            report
                .skipped
                .iter()
                .all(|(_, reason)| reason.contains("classifier")),
            "{publisher}: {:?}",
            report.skipped
        );
    }
}

#[test]
fn weights_are_found_below_other_keys() {
    let expected = hash_module(&imported("timm"));
    for (publisher, place) in [
        ("timm", "visual.trunk"),
        ("meta", "model"),
        ("transformers", "convnext"),
        ("dinov3_in_memory", "teacher"),
    ] {
        let file = format!("convnext.{publisher}.weights");
        let tensors = Golden::open(&file).into_tensors().into_iter();
        let below = tensors.map(|(key, data)| (format!("{place}.{key}"), data));
        let file = checkpoint("below", &below.collect());
        let (backbone, report) = import(convnext(), &file).unwrap();
        assert_eq!(report.place, place);
        assert_eq!(hash_module(&backbone), expected, "{publisher}");
    }
}

/// Blocks of OpenMMLab's, and of timm's with convolutions for the linear layers.
#[test]
fn further_layouts_hold_the_same_network() {
    let expected = hash_module(&imported("timm"));
    let metas = Golden::open("convnext.meta.weights").into_tensors();
    let open_mmlab = metas.into_iter().map(|(key, data)| {
        let key = key
            .replace(".dwconv.", ".depthwise_conv.")
            .replace(".pwconv", ".pointwise_conv");
        (key, data)
    });
    let timms = Golden::open("convnext.timm.weights").into_tensors();
    let convolved = timms.into_iter().map(|(key, mut data)| {
        if key.contains(".mlp.") && key.ends_with(".weight") {
            let shape = [data.shape[0], data.shape[1], 1, 1];
            data.shape = shape.into();
        }
        (key, data)
    });
    let layouts: [Tensors; 2] = [open_mmlab.collect(), convolved.collect()];
    for tensors in layouts {
        let (backbone, _) = import(convnext(), &checkpoint("other", &tensors)).unwrap();
        assert_eq!(hash_module(&backbone), expected);
    }
}

#[test]
fn a_file_of_features_alone_needs_no_norm_behind_them() {
    let mut tensors = Golden::open("convnext.timm.weights").into_tensors();
    tensors.retain(|key, _| !key.starts_with("head."));
    let (backbone, report) = import(convnext(), &checkpoint("features", &tensors)).unwrap();
    assert!(report.skipped.is_empty());
    assert_outputs(&backbone);
    let exported = export(&backbone);
    assert_eq!(
        exported.keys().collect::<Vec<_>>(),
        tensors.keys().collect::<Vec<_>>()
    );
}

#[test]
fn an_exported_network_has_timms_names_and_values() {
    let mut expected = Golden::open("convnext.timm.weights").into_tensors();
    expected.retain(|key, _| !key.starts_with("head.fc."));
    assert_eq!(export(&imported("torchvision")), expected);
}

#[test]
fn a_convnext_v2_is_refused() {
    let mut tensors = Golden::open("convnext.timm.weights").into_tensors();
    let blocks: Vec<String> = tensors
        .keys()
        .filter_map(|key| key.strip_suffix(".gamma").map(String::from))
        .collect();
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        tensors.remove(&format!("{block}.gamma"));
        let scale = TensorData::new(vec![0.5f32; 3], [3]);
        tensors.insert(format!("{block}.mlp.grn.weight"), scale);
    }
    let error = import(convnext(), &checkpoint("v2", &tensors)).unwrap_err();
    match error {
        ImportError::Relative {
            relative: Relative::Foreign { what, .. },
            ..
        } => assert_eq!(what, "a ConvNeXt V2"),
        other => panic!("{other}"),
    }
}

#[test]
fn networks_have_the_published_number_of_parameters() {
    for (name, expected) in [
        ("convnext_tiny", 27_820_128),
        ("convnext_small", 49_454_688),
        ("convnext_base", 87_566_464),
        ("convnext_large", 196_230_336),
    ] {
        let config = BackboneConfig::named(name);
        let backbone = config.init::<Plain>(&Default::default()).unwrap();
        assert_eq!(parameter_count(&backbone), expected, "{name}");
    }
}

#[test]
fn a_dropped_branch_leaves_a_block_as_it_is() {
    let config = ConvNextConfig {
        channels: vec![8],
        depths: vec![2],
        drop_path: 0.999_999,
    };
    let network = config.init::<Plain>(&Default::default());
    let ones = |_: &str, shape: &[usize]| {
        let count = shape.iter().product();
        TensorData::new(vec![0.1f32; count], shape.to_vec())
    };
    let backbone = fill(AnyBackbone::ConvNext(network), ones);
    let values: Vec<f32> = (0..2 * 3 * 16 * 20).map(|i| (i % 13) as f32).collect();
    let images = TensorData::new(values, [2, 3, 16, 20]);
    let images = Tensor::<Plain, 4>::from_data(images, &Default::default());
    let output = |phase| {
        let mut stages = backbone.forward(images.clone(), phase, &mut Untouched);
        stages.remove(0).into_data()
    };
    let AnyBackbone::ConvNext(network) = backbone.clone() else {
        unreachable!();
    };
    let mut first = network;
    // The rate of the first block is zero, that of the last one is the configured one.
    first.stages[0].blocks.truncate(1);
    let first = AnyBackbone::ConvNext(first);
    let expected = first.forward(images.clone(), Phase::Inference, &mut Untouched);
    let trained = output(Phase::Training { seed: 1 });
    assert_eq!(trained, expected[0].to_data());
    assert_ne!(output(Phase::Inference), trained);
}

/// A tap per block, and the frozen transition between stages, at a size with remainders.
#[test]
fn e3va_beside_a_convnext() {
    let golden = Golden::open("convnext.e3va");
    let backbone = imported("timm");
    let module: E3va<Tracked> =
        E3vaConfig::default().init(&backbone.description(), &Default::default());
    let module = fill(module, |path, _| golden.data(&format!("param.{path}")));
    let images = golden.tensor("input");
    let features = module.features::<Plain, Constant>(&backbone, images, Phase::Inference);
    assert_eq!(features.len(), 4);
    let mut loss: Option<Tensor<Tracked, 1>> = None;
    for (stage, feature) in features.into_iter().enumerate() {
        let key = format!("stage{stage}");
        assert_close(&key, &feature.to_data(), &golden.data(&key), STAGES);
        let weighted = (feature * golden.tensor(&format!("weight{stage}"))).sum();
        loss = Some(match loss {
            Some(loss) => loss + weighted,
            None => weighted,
        });
    }
    let loss = loss.unwrap();
    assert_close("the loss", &loss.to_data(), &golden.data("loss"), LOSS);
    let actual = gradients::<Tracked, _>(&module, &loss.backward());
    assert_gradients(&actual, &golden.below("grad."), GRADIENTS);
}
