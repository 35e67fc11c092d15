//! Publishers of Swin weights, and how their names and values differ from timm's.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

use crate::import::Imported;
use crate::layout::{Layout, Layouts, replaced};

/// The layouts of Swin's files.
pub(super) static LAYOUTS: Layouts = &[
    // mmdetection, mmsegmentation and mmpretrain.
    Layout {
        origin: OPEN_MMLAB,
        anchors: &["patch_embed.projection.weight"],
        marks: &["stages.0.blocks.0.attn.w_msa.qkv.weight"],
        name: open_mmlab_name,
    },
    Layout {
        origin: "transformers",
        anchors: &["embeddings.patch_embeddings.projection.weight"],
        marks: &["embeddings.patch_embeddings.projection.weight"],
        name: transformers_name,
    },
    // Other networks of torchvision have another first block.
    Layout {
        origin: "torchvision",
        anchors: &["features.1.0.attn.qkv.weight"],
        marks: &["features.1.0.attn.qkv.weight"],
        name: torchvision_name,
    },
    // Only theirs have a down-sampling in `layers.0`.
    Layout {
        origin: "Microsoft, or timm before 0.9",
        anchors: &["patch_embed.proj.weight"],
        marks: &["layers.0.downsample.norm.weight"],
        name: downsample_at_the_end,
    },
    Layout {
        origin: "timm",
        anchors: &["patch_embed.proj.weight"],
        marks: &[],
        name: timms_name,
    },
];

/// Its files have other orders of values, too.
pub(super) const OPEN_MMLAB: &str = "OpenMMLab";

/// A Swin that timm makes for its features alone (`features_only`) has its stages one by one.
fn timms_name(key: &str) -> String {
    match key.strip_prefix("layers_") {
        Some(rest) => format!("layers.{rest}"),
        None => key.to_string(),
    }
}

/// Moves a down-sampling from the end of a stage to the beginning of the next one.
fn downsample_at_the_end(key: &str) -> String {
    match downsample(key) {
        Some((stage, rest)) => format!("layers.{}.downsample.{rest}", stage + 1),
        None => key.to_string(),
    }
}

/// The stage of a key inside a down-sampling, and the rest of the key.
fn downsample(key: &str) -> Option<(usize, &str)> {
    let (stage, rest) = key.strip_prefix("layers.")?.split_once(".downsample.")?;
    Some((stage.parse().ok()?, rest))
}

/// OpenMMLab's stages have their down-sampling at their end.
fn open_mmlab_name(key: &str) -> String {
    const NAMES: &[(&str, &str)] = &[
        (".attn.w_msa.", ".attn."),
        (".ffn.layers.0.0.", ".mlp.fc1."),
        (".ffn.layers.1.", ".mlp.fc2."),
        ("patch_embed.projection.", "patch_embed.proj."),
    ];
    let name = match key.strip_prefix("stages.") {
        Some(rest) => format!("layers.{rest}"),
        None => key.to_string(),
    };
    downsample_at_the_end(&replaced(&name, NAMES))
}

/// The names of transformers' files, and those of version 5 in memory. Its stages have their down-sampling at their
/// end. Version 5 keeps the encoder of a `SwinBackbone` below `swin.`.
fn transformers_name(key: &str) -> String {
    const NAMES: &[(&str, &str)] = &[
        (
            "embeddings.patch_embeddings.projection.",
            "patch_embed.proj.",
        ),
        ("embeddings.norm.", "patch_embed.norm."),
        ("encoder.layers.", "layers."),
        (".layernorm_before.", ".norm1."),
        (".layernorm_after.", ".norm2."),
        (".attention.self.", ".attn."),
        (".attention.relative_position_bias.", ".attn."),
        (".attention.q_proj.", ".attn.query."),
        (".attention.k_proj.", ".attn.key."),
        (".attention.v_proj.", ".attn.value."),
        (".attention.output.dense.", ".attn.proj."),
        (".attention.o_proj.", ".attn.proj."),
        (".intermediate.dense.", ".mlp.fc1."),
        (".output.dense.", ".mlp.fc2."),
    ];
    downsample_at_the_end(&replaced(key, NAMES))
}

/// torchvision counts through patch embedding, stages and patch mergings: `features.0` is the embedding, odd numbers are
/// stages, and the even ones between them are mergings.
fn torchvision_name(key: &str) -> String {
    const NAMES: &[(&str, &str)] = &[(".mlp.0.", ".mlp.fc1."), (".mlp.3.", ".mlp.fc2.")];
    let counted = key
        .strip_prefix("features.")
        .and_then(|rest| rest.split_once('.'));
    let Some((Ok(index), rest)) = counted.map(|(index, rest)| (index.parse::<usize>(), rest))
    else {
        return key.to_string();
    };
    match (index, rest.split_once('.')) {
        (0, Some(("0", parameter))) => format!("patch_embed.proj.{parameter}"),
        (0, Some(("2", parameter))) => format!("patch_embed.norm.{parameter}"),
        (0, _) => key.to_string(),
        (index, _) if index % 2 == 0 => format!("layers.{}.downsample.{rest}", index / 2),
        (index, _) => replaced(&format!("layers.{}.blocks.{rest}", index / 2), NAMES),
    }
}

/// OpenMMLab gathers the four neighbours of a patch merging by an unfolding, whose channels are `[channel,
/// neighbour]` with the neighbours by rows; the published order is `[neighbour, channel]` by columns.
pub(super) fn fold_mergings(tensors: &mut BTreeMap<String, Imported>) {
    for (path, tensor) in tensors {
        let part = path.rsplit_once(".downsample.").map(|(_, part)| part);
        if matches!(part, Some("norm.gamma" | "norm.beta" | "reduction.weight")) {
            fold_in_place(&mut tensor.data);
        }
    }
}

/// Takes the last axis from `[channel, neighbour]` to `[neighbour, channel]`.
fn fold_in_place(data: &mut TensorData) {
    /// Where each neighbour of the published order is among those by rows: top left, bottom left, top right,
    /// bottom right.
    const NEIGHBOURS: [usize; 4] = [0, 2, 1, 3];
    let Some(&width) = data.shape.last() else {
        return;
    };
    // Any other width fits no backbone, and the import says so.
    if width == 0 || width % NEIGHBOURS.len() != 0 {
        return;
    }
    let channels = width / NEIGHBOURS.len();
    let Ok(values) = data.as_mut_slice::<f32>() else {
        return;
    };
    for row in values.chunks_exact_mut(width) {
        let unfolded = row.to_vec();
        for (neighbour, by_rows) in NEIGHBOURS.into_iter().enumerate() {
            for channel in 0..channels {
                row[neighbour * channels + channel] =
                    unfolded[channel * NEIGHBOURS.len() + by_rows];
            }
        }
    }
}
