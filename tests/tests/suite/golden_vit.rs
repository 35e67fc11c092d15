//! Plain vision transformers against timm and transformers, through the import of their files.

use burn::tensor::Tensor;
use gradway_backbone::vit::{Positions, VitConfig};
use gradway_backbone::{
    AnyBackbone, Backbone, BackboneConfig, Checkpoint, Phase, Resampling, Untouched, export, import,
};
use gradway_kernels::{ChannelAxis, channels_first};
use gradway_tests::{Golden, Plain, assert_close, checkpoint, golden_path, parameter_count};

/// Four blocks in single precision against double precision.
const STAGES: f64 = 2e-5;
/// Weights of an interpolation in double precision, rounded once, and two products.
const GRID: f64 = 1e-6;

const SIDE: usize = 5;

fn learnt(registers: usize) -> VitConfig {
    VitConfig {
        patch: 6,
        channels: 16,
        heads: 2,
        blocks: 4,
        registers,
        positions: Positions::Learnt {
            side: SIDE,
            class: registers == 0,
        },
        epsilon: 1e-6,
        layer_scale: true,
        swiglu: false,
        qkv_bias: true,
        halves: false,
        resampling: None,
        drop_path: 0.0,
    }
}

fn plain() -> VitConfig {
    VitConfig {
        layer_scale: false,
        ..learnt(0)
    }
}

fn rotary(swiglu: bool) -> VitConfig {
    VitConfig {
        positions: Positions::Rotary,
        epsilon: 1e-5,
        qkv_bias: false,
        swiglu,
        ..learnt(2)
    }
}

fn vit(config: VitConfig) -> AnyBackbone<Plain> {
    AnyBackbone::Vit(config.init(&Default::default()))
}

fn weights(name: &str) -> Checkpoint {
    Checkpoint::open(&golden_path(&format!("vit.{name}.weights.safetensors"))).unwrap()
}

/// Imports a file and compares every stage, for images of the size of pre-training and others.
fn assert_stages(config: VitConfig, file: &str, values: &str) {
    let (backbone, _) = import(vit(config), &weights(file)).unwrap();
    assert_outputs(&backbone, file, values);
}

fn assert_outputs(backbone: &AnyBackbone<Plain>, file: &str, values: &str) {
    let golden = Golden::open(&format!("vit.{values}.io"));
    let mut compared = 0;
    for size in ["own", "other"] {
        if golden.below(&format!("{size}.")).is_empty() {
            continue;
        }
        let images: Tensor<Plain, 4> = golden.tensor(&format!("{size}.input"));
        let stages = backbone.forward(images, Phase::Inference, &mut Untouched);
        assert_eq!(stages.len(), 4);
        for (index, stage) in stages.into_iter().enumerate() {
            let stage = channels_first(stage, ChannelAxis::Last).into_data();
            let key = format!("{size}.stage{index}");
            assert_close(
                &format!("{file}: {key}"),
                &stage,
                &golden.data(&key),
                STAGES,
            );
            compared += 1;
        }
    }
    assert!(compared >= 4);
}

#[test]
fn timms_networks_equal_the_golden() {
    assert_stages(learnt(0), "timm", "timm");
    assert_stages(learnt(3), "timm_registers", "timm_registers");
    assert_stages(plain(), "timm_plain", "timm_plain");
    assert_stages(rotary(false), "timm_rotary", "timm_rotary");
    assert_stages(rotary(true), "timm_swiglu", "timm_swiglu");
}

#[test]
fn transformers_networks_equal_the_golden_under_the_names_of_files_and_of_memory() {
    for (config, name) in [
        (learnt(0), "dinov2"),
        (learnt(3), "dinov2_registers"),
        (plain(), "augreg"),
        (rotary(false), "dinov3"),
        (rotary(true), "dinov3_gated"),
    ] {
        assert_stages(config, name, name);
        assert_stages(config, &format!("{name}_in_memory"), name);
    }
}

/// Meta's DINOv2 has the names of timm but for the tokens, and no position of the class token beside registers.
#[test]
fn metas_names_are_timms_with_other_tokens() {
    let resampling = |config: VitConfig, name: &str| {
        let mut tensors = Golden::open(&format!("vit.{name}.weights")).into_tensors();
        let mask = tensors["cls_token"].clone();
        if let Some(registers) = tensors.remove("reg_token") {
            tensors.insert("register_tokens".into(), registers);
        }
        tensors.insert("mask_token".into(), mask);
        let (backbone, report) = import(vit(config), &checkpoint("meta", &tensors)).unwrap();
        let skipped: Vec<_> = report.skipped.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(skipped, ["mask_token"]);
        let AnyBackbone::Vit(network) = &backbone else {
            unreachable!();
        };
        network.resampling
    };
    assert_eq!(resampling(learnt(0), "timm"), Resampling::Offset);
    let with_registers = resampling(learnt(3), "timm_registers");
    assert_eq!(with_registers, Resampling::Antialiased);
}

/// The bias of keys that Meta's DINOv3 masks is zero, as in transformers' files.
#[test]
fn a_masked_bias_of_keys_is_zero() {
    let config = rotary(false);
    let (expected, _) = import(vit(config), &weights("dinov3")).unwrap();
    let mut tensors = export(&expected);
    for block in 0..4 {
        let key = format!("blocks.{block}.attn.qkv.bias");
        let mut bias = tensors[&key].clone();
        let mask = tensors[&key].clone();
        let values = bias.as_mut_slice::<f32>().unwrap();
        assert!(values[16..32].iter().all(|value| *value == 0.0));
        values[16..32].fill(3.0);
        tensors.insert(key, bias);
        tensors.insert(format!("blocks.{block}.attn.qkv.bias_mask"), mask);
    }
    let tokens = tensors.remove("reg_token").unwrap();
    tensors.insert("storage_tokens".into(), tokens);
    let (backbone, _) = import(vit(config), &checkpoint("meta", &tensors)).unwrap();
    assert_outputs(&backbone, "meta", "dinov3");
}

#[test]
fn an_exported_network_is_imported_again() {
    for (config, name) in [
        (learnt(3), "dinov2_registers"),
        (rotary(true), "timm_swiglu"),
    ] {
        let (backbone, _) = import(vit(config), &weights(name)).unwrap();
        let file = checkpoint("exported", &export(&backbone));
        let (backbone, report) = import(vit(config), &file).unwrap();
        assert!(report.skipped.is_empty());
        assert_outputs(&backbone, "exported", name);
    }
}

#[test]
fn learnt_positions_are_resampled_as_by_their_publisher() {
    let golden = Golden::open("vit.positions");
    for (name, resampling) in [
        ("antialiased", Resampling::Antialiased),
        ("plain", Resampling::Plain),
        ("offset", Resampling::Offset),
    ] {
        for size in [[5, 5], [5, 8], [3, 7], [11, 2], [9, 9], [1, 4]] {
            let key = format!("{name}.{}x{}", size[0], size[1]);
            let grid: Tensor<Plain, 3> = golden.tensor("grid");
            let resampled = resampling.resample(grid, size).into_data();
            assert_close(&key, &resampled, &golden.data(&key), GRID);
        }
    }
}

#[test]
fn networks_have_the_published_number_of_parameters() {
    for (name, expected) in [
        ("dinov2_small", 22_056_192),
        ("dinov2_base", 86_579_712),
        ("dinov2_large", 304_367_616),
        ("dinov2_small_reg", 22_057_344),
        ("dinov2_base_reg", 86_582_016),
        ("dinov2_large_reg", 304_370_688),
        ("dinov3_small", 21_586_944),
        ("dinov3_small_plus", 28_683_264),
        ("dinov3_base", 85_641_216),
        ("dinov3_large", 303_079_424),
        ("vit_small_16", 21_665_664),
        ("vit_base_16", 85_798_656),
        ("vit_large_16", 303_301_632),
        ("mae_base", 85_798_656),
        ("mae_large", 303_301_632),
    ] {
        let config = BackboneConfig::named(name);
        let backbone = config.init::<Plain>(&Default::default()).unwrap();
        assert_eq!(parameter_count(&backbone), expected, "{name}");
    }
}
