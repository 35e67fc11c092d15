//! Publishers of weights of plain vision transformers, and how their names differ from timm's.

use crate::checkpoint::Checkpoint;
use crate::resampling::Resampling;

/// Names of the patch embedding, one of which every file has.
pub(super) const ANCHORS: [&str; 3] = [
    "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.weight",
    "embeddings.patch_embeddings.weight",
];

/// Names of the three projections of an attention where a publisher has them apart.
pub(super) const PARTS: [&str; 3] = ["query", "key", "value"];

/// The starts or endings of keys that are left out, with the reason.
pub(super) const SKIPPED: &[(&str, &str)] = &[
    ("head.", "belongs to the classifier"),
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

/// Parts of names, and timm's. In the order in which they are replaced.
const NAMES: &[(&str, &str)] = &[
    // transformers: DINOv2, ViT, DINOv3.
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
    // Meta: DINOv2, DINOv3.
    (".mlp.w1.", ".mlp.fc1_g."),
    (".mlp.w2.", ".mlp.fc1."),
    (".mlp.w3.", ".mlp.fc2."),
    // timm: DINOv3.
    (".gamma_1", ".ls1.gamma"),
    (".gamma_2", ".ls2.gamma"),
    (".mlp.fc1_x.", ".mlp.fc1."),
];

/// Whole starts of names.
const STARTS: &[(&str, &str)] = &[
    ("layer.", "blocks."),
    ("layers.", "blocks."),
    ("layernorm.", "norm."),
    ("register_tokens", "reg_token"),
    ("storage_tokens", "reg_token"),
];

/// Returns timm's name of a key; the key itself if there is no other.
pub(super) fn name(key: &str) -> String {
    let mut name = key.to_string();
    for (theirs, timms) in NAMES {
        name = name.replacen(theirs, timms, 1);
    }
    for (theirs, timms) in STARTS {
        if let Some(rest) = name.strip_prefix(theirs) {
            name = format!("{timms}{rest}");
        }
    }
    name
}

/// Whether a file is Meta's own.
pub(super) fn is_metas(file: &Checkpoint) -> bool {
    ["mask_token", "register_tokens", "storage_tokens"]
        .iter()
        .any(|name| file.contains(name))
}

/// Names of register tokens.
const REGISTERS: [&str; 3] = ["reg_token", "register_tokens", "embeddings.register_tokens"];

/// The entry of a header that states how learnt positions are resampled, in files that this library writes.
pub(super) const RESAMPLING: &str = "gradway.positions";

/// How the publisher of a file resamples learnt positions, unless the file states it. Networks with registers were published
/// with antialiasing, by Meta and in transformers alike.
pub(super) fn resampling(file: &Checkpoint) -> Resampling {
    let stated = file.word(RESAMPLING).and_then(Resampling::from_name);
    if let Some(stated) = stated {
        stated
    } else if REGISTERS.iter().any(|name| file.contains(name)) {
        Resampling::Antialiased
    } else if file.keys().any(|key| key.starts_with("embeddings.")) {
        Resampling::Plain
    } else if is_metas(file) {
        Resampling::Offset
    } else {
        Resampling::Antialiased
    }
}
