//! One network in the files of every publisher: the same weights, and the stages that the publishers' libraries compute.
//!
//! `golden/origins.py` writes the files and says what is in them.

use burn::tensor::{Tensor, TensorData};
use gradway_backbone::swin::SwinConfig;
use gradway_backbone::vit::{Positions, VitConfig};
use gradway_backbone::{
    AnyBackbone, Backbone, Checkpoint, ImportError, ImportReport, Phase, Relative, Resampling,
    Untouched, hash_module, import,
};
use gradway_kernels::channels_first;
use gradway_tests::{Golden, Plain, Tensors, assert_close, checkpoint, golden_path};

/// Four blocks in single precision against double precision.
const STAGES: f64 = 2e-5;

/// The page that lists the publishers.
const PAGE: &str = include_str!("../../../docs/reference/weights.md");

/// A file, whose names it has, where its weights are, and what is beside them.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

/// Files, and a backbone for them.
type Network<'a> = (&'a [Case], &'a dyn Fn() -> AnyBackbone<Plain>);

const SWIN: [Case; 9] = [
    ("swin.timm", "timm", "", &["head.fc.weight", "norm.bias"]),
    ("swin.timm_features", "timm", "encoder.model", &[]),
    (
        "swin.microsoft",
        "Microsoft, or timm before 0.9",
        "model",
        &[
            "head.weight",
            "layers.1.blocks.1.attn_mask",
            "layers.0.blocks.0.attn.relative_position_index",
        ],
    ),
    (
        "swin.torchvision",
        "torchvision",
        "",
        &["features.1.1.attn.relative_position_index", "head.bias"],
    ),
    (
        "swin.transformers",
        "transformers",
        "swin",
        &["classifier.*", "layernorm.weight"],
    ),
    (
        "swin.transformers_in_memory",
        "transformers",
        "",
        &["layernorm.bias"],
    ),
    (
        "swin.transformers_backbone",
        "transformers",
        "",
        &["hidden_states_norms.stage1.weight", "swin.layernorm.bias"],
    ),
    (
        "swin.transformers_upernet",
        "transformers",
        "backbone",
        &["decode_head.*", "hidden_states_norms.stage2.bias"],
    ),
    (
        "swin.open_mmlab",
        "OpenMMLab",
        "state_dict.backbone",
        &[
            "state_dict.neck.*",
            "state_dict.rpn_head.*",
            "state_dict.roi_head.*",
            "norm0.weight",
            "stages.0.blocks.1.attn.w_msa.relative_position_index",
        ],
    ),
];

const VIT: [Case; 8] = [
    ("vit.timm", "timm", "", &["head.weight"]),
    ("vit.transformers", "transformers", "vit", &["classifier.*"]),
    ("vit.transformers_in_memory", "transformers", "", &[]),
    (
        "vit.transformers_mae",
        "transformers",
        "vit",
        &["decoder.*"],
    ),
    (
        "vit.transformers_dpt",
        "transformers",
        "dpt",
        &["neck.*", "head.*"],
    ),
    ("vit.torchvision", "torchvision", "", &["heads.head.weight"]),
    (
        "vit.torchvision_published",
        "torchvision",
        "",
        &["heads.head.bias"],
    ),
    (
        "vit.meta_mae",
        "Meta",
        "model",
        &["mask_token", "decoder_pos_embed", "decoder_embed.weight"],
    ),
];

const DINOV2: [Case; 5] = [
    ("dinov2.timm", "timm", "", &["head.bias"]),
    (
        "dinov2.meta",
        "Meta",
        "teacher.backbone",
        &["mask_token", "teacher.dino_head.*"],
    ),
    (
        "dinov2.transformers",
        "transformers",
        "",
        &["embeddings.mask_token"],
    ),
    ("dinov2.transformers_in_memory", "transformers", "", &[]),
    (
        "dinov2.transformers_depth_anything",
        "transformers",
        "backbone",
        &["neck.*", "head.*"],
    ),
];

const DINOV3: [Case; 2] = [
    ("dinov3.transformers", "transformers", "", &[]),
    (
        "dinov3.meta",
        "Meta",
        "",
        &[
            "rope_embed.periods",
            "local_cls_norm.weight",
            "blocks.0.attn.qkv.bias_mask",
        ],
    ),
];

fn swin(pad_first: bool) -> AnyBackbone<Plain> {
    let config = SwinConfig::new(4, vec![2, 2], vec![1, 2])
        .with_window(4)
        .with_pad_first(pad_first);
    AnyBackbone::Swin(config.init(&Default::default()))
}

fn vit_config() -> VitConfig {
    VitConfig {
        patch: 4,
        channels: 8,
        heads: 2,
        blocks: 4,
        registers: 0,
        positions: Positions::Learnt {
            side: 3,
            class: true,
        },
        epsilon: 1e-6,
        layer_scale: false,
        swiglu: false,
        qkv_bias: true,
        halves: false,
        resampling: None,
        drop_path: 0.0,
    }
}

fn vit(config: VitConfig) -> AnyBackbone<Plain> {
    AnyBackbone::Vit(config.init(&Default::default()))
}

fn dinov2_config() -> VitConfig {
    VitConfig {
        layer_scale: true,
        ..vit_config()
    }
}

fn dinov3_config() -> VitConfig {
    VitConfig {
        registers: 2,
        positions: Positions::Rotary,
        epsilon: 1e-5,
        swiglu: true,
        qkv_bias: false,
        ..dinov2_config()
    }
}

fn open(name: &str) -> Checkpoint {
    let path = golden_path(&format!("origins/{name}.safetensors"));
    Checkpoint::open(&path).unwrap_or_else(|error| panic!("{error}"))
}

fn load(backbone: AnyBackbone<Plain>, name: &str) -> (AnyBackbone<Plain>, ImportReport) {
    import(backbone, &open(name)).unwrap_or_else(|error| panic!("{error}"))
}

/// The tensors of a file with `place` in front of every key.
fn below(place: &str, name: &str) -> Tensors {
    let tensors = Golden::open(&format!("origins/{name}")).into_tensors();
    let tensors = tensors.into_iter();
    tensors
        .map(|(key, data)| (format!("{place}.{key}"), data))
        .collect()
}

/// Imports every file into a backbone, and compares the weights and what the report says.
fn assert_same(cases: &[Case], backbone: impl Fn() -> AnyBackbone<Plain>) {
    let (first, _) = load(backbone(), cases[0].0);
    let expected = hash_module(&first);
    for (name, origin, place, skipped) in cases {
        let (loaded, report) = load(backbone(), name);
        assert_eq!(hash_module(&loaded), expected, "{name}");
        assert_eq!(report.origin, Some(*origin), "{name}");
        assert_eq!(report.place, *place, "{name}");
        let found: Vec<&str> = report.skipped.iter().map(|(key, _)| key.as_str()).collect();
        for key in *skipped {
            assert!(found.contains(key), "{name}: {key} is not in {found:?}");
        }
        assert!(report.resized.is_empty(), "{name}");
        assert!(PAGE.contains(origin), "{origin} is not on the page");
    }
}

/// Compares the stages of a backbone with those of the publisher's library.
fn assert_stages(backbone: &AnyBackbone<Plain>, values: &str, below: &str, stages: usize) {
    let golden = Golden::open(&format!("origins/{values}.io"));
    let images: Tensor<Plain, 4> = golden.tensor("input");
    let axis = backbone.description().axis;
    let outputs = backbone.forward(images, Phase::Inference, &mut Untouched);
    assert_eq!(outputs.len(), stages);
    for (index, stage) in outputs.into_iter().enumerate() {
        let key = format!("{below}stage{index}");
        let stage = channels_first(stage, axis).into_data();
        assert_close(&key, &stage, &golden.data(&key), STAGES);
    }
}

#[test]
fn every_file_of_a_swin_has_the_same_weights() {
    assert_same(&SWIN, || swin(false));
}

#[test]
fn a_swin_computes_what_the_publishers_libraries_compute() {
    for (pad_first, below) in [(false, "shift_first."), (true, "pad_first.")] {
        for (name, ..) in SWIN {
            let (backbone, _) = load(swin(pad_first), name);
            assert_stages(&backbone, "swin", below, 2);
        }
    }
}

#[test]
fn every_file_of_a_plain_vision_transformer_has_the_same_weights() {
    assert_same(&VIT, || vit(vit_config()));
    assert_same(&DINOV2, || vit(dinov2_config()));
    assert_same(&DINOV3, || vit(dinov3_config()));
}

#[test]
fn a_plain_vision_transformer_computes_what_the_publishers_libraries_compute() {
    for (name, ..) in VIT {
        assert_stages(&load(vit(vit_config()), name).0, "vit", "", 4);
    }
    for (name, ..) in DINOV2 {
        assert_stages(&load(vit(dinov2_config()), name).0, "dinov2", "", 4);
    }
}

#[test]
fn a_file_decides_how_positions_are_resampled() {
    let resampling = |config: VitConfig, name: &str| match load(vit(config), name).0 {
        AnyBackbone::Vit(network) => network.resampling,
        _ => unreachable!("a plain vision transformer"),
    };
    for (name, expected) in [
        ("vit.timm", Resampling::Antialiased),
        ("vit.transformers", Resampling::Plain),
        ("vit.torchvision", Resampling::Antialiased),
        ("vit.meta_mae", Resampling::Plain),
    ] {
        assert_eq!(resampling(vit_config(), name), expected, "{name}");
    }
    for (name, expected) in [
        ("dinov2.timm", Resampling::Antialiased),
        ("dinov2.transformers", Resampling::Plain),
        ("dinov2.meta", Resampling::Offset),
    ] {
        assert_eq!(resampling(dinov2_config(), name), expected, "{name}");
    }
}

/// AugReg's networks, whose images are in -1 to 1, do not take weights that are known to be for others.
#[test]
fn weights_for_images_of_another_normalisation_are_refused() {
    let halves = VitConfig {
        halves: true,
        ..vit_config()
    };
    for (name, origin) in [
        ("vit.torchvision", "torchvision"),
        ("vit.torchvision_published", "torchvision"),
        ("vit.meta_mae", "MAE"),
        ("vit.transformers_mae", "MAE"),
    ] {
        let error = import(vit(halves), &open(name)).expect_err(name);
        let ImportError::Relative { relative, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*relative, Relative::Images { origin });
        let message = error.to_string();
        for part in [name, origin, "ImageNet's", "backbone.name = \"mae_base\""] {
            assert!(message.contains(part), "{message}");
        }
    }
    load(vit(halves), "vit.timm");
    load(vit(halves), "vit.transformers");
}

/// Of every publisher, whatever it calls the tensor.
#[test]
fn numbers_that_are_not_finite_are_refused_in_every_layout() {
    let networks: [Network<'_>; 4] = [
        (&SWIN, &|| swin(false)),
        (&VIT, &|| vit(vit_config())),
        (&DINOV2, &|| vit(dinov2_config())),
        (&DINOV3, &|| vit(dinov3_config())),
    ];
    for (cases, backbone) in networks {
        for (name, ..) in cases {
            let (_, report) = load(backbone(), name);
            for key in [
                &report.applied[0],
                &report.applied[report.applied.len() / 2],
            ] {
                let mut tensors = Golden::open(&format!("origins/{name}")).into_tensors();
                let below = format!(".{key}");
                let is_key = |full: &String| full == key || full.ends_with(&below);
                let mut found = tensors.iter_mut().filter(|(full, _)| is_key(full));
                let (_, data) = found.next().expect("a tensor");
                let mut values = data.to_vec::<f32>().expect("numbers");
                *values.last_mut().expect("a number") = f32::NAN;
                *data = TensorData::new(values, data.shape.clone());
                let error = import(backbone(), &checkpoint("weights.safetensors", &tensors));
                let error = error.expect_err("refused");
                assert!(matches!(error, ImportError::NotFinite { .. }), "{error}");
                let message = error.to_string();
                assert!(message.contains("weights.safetensors"), "{message}");
                assert!(message.contains(&format!("`{key}` holds NaN")), "{message}");
            }
        }
    }
}

/// A model can have two backbones.
#[test]
fn a_network_of_another_family_beside_the_weights_is_left_out() {
    let mut tensors = below("image", "vit.torchvision");
    tensors.extend(below("detector", "swin.open_mmlab"));
    let file = checkpoint("edited", &tensors);
    for (backbone, name, place) in [
        (vit(vit_config()), "vit.timm", "image"),
        (swin(false), "swin.timm", "detector.backbone"),
    ] {
        let (expected, _) = load(backbone.clone(), name);
        let (loaded, report) = import(backbone, &file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(hash_module(&loaded), hash_module(&expected));
        assert_eq!(report.place, place);
    }
}

/// What training scripts save beside the weights, or around them.
#[test]
fn weights_are_found_among_what_training_scripts_save() {
    let (expected, _) = load(swin(false), "swin.timm");
    let expected = hash_module(&expected);
    let any = TensorData::from([1.0_f32]);
    for (name, ..) in SWIN {
        for place in [
            "state_dict",
            "model",
            "module",
            "teacher",
            "ema_state_dict",
            "state_dict_ema",
            "model.module",
        ] {
            let mut tensors = below(place, name);
            for key in [
                "optimizer.state.0.exp_avg",
                "epoch",
                "args.rate",
                "scaler.scale",
            ] {
                tensors.insert(key.to_string(), any.clone());
            }
            let file = checkpoint("edited", &tensors);
            let (loaded, report) = import(swin(false), &file).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(hash_module(&loaded), expected, "{name} in {place}");
            assert!(report.place.starts_with(place), "{}", report.place);
            let skipped: Vec<&str> = report.skipped.iter().map(|(key, _)| key.as_str()).collect();
            for key in ["optimizer.*", "epoch", "args.*", "scaler.*"] {
                assert!(skipped.contains(&key), "{name}: {key} in {skipped:?}");
            }
        }
    }
}
