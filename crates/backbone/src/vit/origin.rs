//! Publishers of weights of plain vision transformers, and how their names differ from timm's.

use crate::checkpoint::Checkpoint;
use crate::layout::{Layout, Layouts, layout_of, replaced};
use crate::resampling::Resampling;

/// The layouts of the files.
pub(super) static LAYOUTS: Layouts = &[
    Layout {
        origin: TORCHVISION,
        anchors: &["conv_proj.weight"],
        marks: &["encoder.pos_embedding"],
        name: torchvision_name,
    },
    Layout {
        origin: TRANSFORMERS,
        anchors: &[
            "embeddings.patch_embeddings.projection.weight",
            // Of DINOv3.
            "embeddings.patch_embeddings.weight",
        ],
        marks: &["embeddings.cls_token"],
        name: transformers_name,
    },
    Layout {
        origin: META,
        anchors: &[PATCHES],
        marks: &["mask_token", "register_tokens", "storage_tokens"],
        name: metas_name,
    },
    Layout {
        origin: "timm",
        anchors: &[PATCHES],
        marks: &[],
        name: timms_name,
    },
];

const TORCHVISION: &str = "torchvision";
const TRANSFORMERS: &str = "transformers";
pub(super) const META: &str = "Meta";

/// The positions of MAE's decoder.
const DECODER: &str = "decoder_pos_embed";
/// timm's and Meta's name of the patch embedding.
const PATCHES: &str = "patch_embed.proj.weight";

/// The starts or endings of names that are left out, with the reason.
pub(super) const SKIPPED: &[(&str, &str)] = &[
    ("head.", "belongs to the classifier"),
    ("heads.", "belongs to the classifier"),
    ("classifier.", "belongs to the classifier"),
    ("fc_norm.", "belongs to the classifier"),
    ("pooler.", "belongs to the classifier"),
    ("mask_token", "stands for masked patches in pre-training"),
    (
        "local_cls_norm.",
        "normalises the class token of small crops in pre-training",
    ),
    ("rope_embed.periods", "is computed from the configuration"),
    ("qkv.bias_mask", "is applied to the bias"),
    ("decoder_", "belongs to the decoder of pre-training"),
];

/// Replaces parts of a name, and a part at its start.
fn renamed(key: &str, parts: &[(&str, &str)], starts: &[(&str, &str)]) -> String {
    let name = replaced(key, parts);
    let start = starts
        .iter()
        .find_map(|(theirs, timms)| Some((timms, name.strip_prefix(theirs)?)));
    match start {
        Some((timms, rest)) => format!("{timms}{rest}"),
        None => name,
    }
}

/// The names of transformers' files, and those of version 5 in memory: of ViT, DINOv2 and DINOv3, and of what is made of
/// them, such as MAE and DPT.
fn transformers_name(key: &str) -> String {
    const PARTS: &[(&str, &str)] = &[
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.mask_token", "mask_token"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.register_tokens", "reg_token"),
        (
            "embeddings.patch_embeddings.projection.",
            "patch_embed.proj.",
        ),
        ("embeddings.patch_embeddings.", "patch_embed.proj."),
        ("encoder.layer.", "blocks."),
        ("model.layer.", "blocks."),
        (".attention.attention.query.", ".attn.query."),
        (".attention.attention.key.", ".attn.key."),
        (".attention.attention.value.", ".attn.value."),
        (".attention.output.dense.", ".attn.proj."),
        (".attention.q_proj.", ".attn.query."),
        (".attention.k_proj.", ".attn.key."),
        (".attention.v_proj.", ".attn.value."),
        (".attention.o_proj.", ".attn.proj."),
        (".layernorm_before.", ".norm1."),
        (".layernorm_after.", ".norm2."),
        (".intermediate.dense.", ".mlp.fc1."),
        (".output.dense.", ".mlp.fc2."),
        (".mlp.up_proj.", ".mlp.fc1."),
        (".mlp.gate_proj.", ".mlp.fc1_g."),
        (".mlp.down_proj.", ".mlp.fc2."),
        (".layer_scale1.lambda1", ".ls1.gamma"),
        (".layer_scale2.lambda1", ".ls2.gamma"),
    ];
    const STARTS: &[(&str, &str)] = &[
        ("layer.", "blocks."),
        ("layers.", "blocks."),
        ("layernorm.", "norm."),
    ];
    renamed(key, PARTS, STARTS)
}

/// DINOv2's and DINOv3's names are timm's but for the tokens and the gated MLP.
fn metas_name(key: &str) -> String {
    const PARTS: &[(&str, &str)] = &[
        (".mlp.w1.", ".mlp.fc1_g."),
        (".mlp.w2.", ".mlp.fc1."),
        (".mlp.w3.", ".mlp.fc2."),
    ];
    const STARTS: &[(&str, &str)] = &[
        ("register_tokens", "reg_token"),
        ("storage_tokens", "reg_token"),
    ];
    renamed(key, PARTS, STARTS)
}

/// timm's DINOv3 is of another class than its DINOv2.
fn timms_name(key: &str) -> String {
    const PARTS: &[(&str, &str)] = &[
        (".gamma_1", ".ls1.gamma"),
        (".gamma_2", ".ls2.gamma"),
        (".mlp.fc1_x.", ".mlp.fc1."),
    ];
    renamed(key, PARTS, &[])
}

/// torchvision's names, those of its published files, too, which are older than its code.
fn torchvision_name(key: &str) -> String {
    const PARTS: &[(&str, &str)] = &[
        ("encoder.layers.encoder_layer_", "blocks."),
        (".ln_1.", ".norm1."),
        (".ln_2.", ".norm2."),
        (".self_attention.in_proj_", ".attn.qkv."),
        (".self_attention.out_proj.", ".attn.proj."),
        (".mlp.0.", ".mlp.fc1."),
        (".mlp.3.", ".mlp.fc2."),
        (".mlp.linear_1.", ".mlp.fc1."),
        (".mlp.linear_2.", ".mlp.fc2."),
    ];
    const STARTS: &[(&str, &str)] = &[
        ("class_token", "cls_token"),
        ("encoder.pos_embedding", "pos_embed"),
        ("encoder.ln.", "norm."),
        ("conv_proj.", "patch_embed.proj."),
    ];
    renamed(key, PARTS, STARTS)
}

/// Returns timm's name of a key of a file; the key itself if there is no other.
pub(super) fn name(key: &str, file: &Checkpoint) -> String {
    (layout_of(LAYOUTS, file).name)(key)
}

/// Returns the publisher of a file, if its images are normalised with ImageNet's mean and deviation although its network
/// is one of AugReg's, whose are not.
pub(super) fn of_imagenets_images(file: &Checkpoint) -> Option<&'static str> {
    let has = |ending: &str| file.keys().any(|key| key.ends_with(ending));
    if has("encoder.layers.encoder_layer_0.ln_1.weight") {
        Some(TORCHVISION)
    } else if has(DECODER) {
        Some("MAE")
    } else {
        None
    }
}

/// The entry of a header that states how learnt positions are resampled, in files that this library writes.
pub(super) const RESAMPLING: &str = "gradway.positions";

/// How the publisher of a file resamples learnt positions, unless the file states it. Networks with registers were published with antialiasing, by Meta
/// and in transformers alike. torchvision's code takes images of one size only.
pub(super) fn resampling(file: &Checkpoint) -> Resampling {
    if let Some(stated) = file.header(RESAMPLING).and_then(Resampling::from_name) {
        return stated;
    }
    let layout = layout_of(LAYOUTS, file);
    if file.keys().any(|key| (layout.name)(key) == "reg_token") {
        return Resampling::Antialiased;
    }
    match layout.origin {
        TRANSFORMERS => Resampling::Plain,
        // MAE's.
        META if file.contains(DECODER) => Resampling::Plain,
        META => Resampling::Offset,
        _ => Resampling::Antialiased,
    }
}
