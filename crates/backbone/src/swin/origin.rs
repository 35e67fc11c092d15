//! Publishers of Swin weights, and how their names and values differ from timm's.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

use crate::checkpoint::Checkpoint;
use crate::import::Imported;

/// The layout of a publisher's files. Each one is an entry of [`TABLE`].
#[derive(Debug)]
pub(super) struct Origin {
    /// A name in the patch embedding that every file of this origin has; it shows where a backbone starts.
    pub(super) anchor: &'static str,
    /// A name that only files of this origin have.
    mark: &'static str,
    /// Returns timm's name of a key; the key itself if there is none.
    pub(super) rename: fn(&str, &Checkpoint) -> String,
    /// Reorders the values of tensors, by their renamed paths, to timm's order.
    pub(super) arrange: fn(&mut BTreeMap<String, Imported>),
}

/// All origins. A file has the first origin whose mark it has, otherwise the last one.
static TABLE: [Origin; 2] = [
    // OpenMMLab's: mmdetection, mmsegmentation and mmpretrain.
    Origin {
        anchor: "patch_embed.projection.weight",
        mark: "stages.0.blocks.0.attn.w_msa.qkv.weight",
        rename: open_mmlab_name,
        arrange: open_mmlab_order,
    },
    // timm's and Microsoft's.
    Origin {
        anchor: "patch_embed.proj.weight",
        mark: "patch_embed.proj.weight",
        rename: timm_name,
        arrange: |_| {},
    },
];

impl Origin {
    /// The origin of a file.
    pub(super) fn of(file: &Checkpoint) -> &'static Self {
        let found = TABLE.iter().find(|origin| file.contains(origin.mark));
        found.unwrap_or(&TABLE[TABLE.len() - 1])
    }

    /// The anchors of all origins.
    pub(super) fn anchors() -> Vec<&'static str> {
        TABLE.iter().map(|origin| origin.anchor).collect()
    }
}

/// This library uses timm's paths. Microsoft's checkpoints (and timm's before 0.9) have a down-sampling at the
/// end of the stage before, so only theirs have one in `layers.0`.
fn timm_name(key: &str, file: &Checkpoint) -> String {
    match downsample(key) {
        Some((stage, rest)) if file.contains("layers.0.downsample.norm.weight") => {
            format!("layers.{}.downsample.{rest}", stage + 1)
        }
        _ => key.to_string(),
    }
}

/// The stage of a key inside a down-sampling, and the rest of the key.
fn downsample(key: &str) -> Option<(usize, &str)> {
    let (stage, rest) = key.strip_prefix("layers.")?.split_once(".downsample.")?;
    Some((stage.parse().ok()?, rest))
}

/// Names of modules in OpenMMLab and in timm.
const OPEN_MMLAB: [(&str, &str); 4] = [
    (".attn.w_msa.", ".attn."),
    (".ffn.layers.0.0.", ".mlp.fc1."),
    (".ffn.layers.1.", ".mlp.fc2."),
    ("patch_embed.projection.", "patch_embed.proj."),
];

/// OpenMMLab's stages have their down-sampling at their end, as Microsoft's.
fn open_mmlab_name(key: &str, _file: &Checkpoint) -> String {
    let mut name = key.to_string();
    if let Some(rest) = key.strip_prefix("stages.") {
        name = format!("layers.{rest}");
    }
    for (theirs, timms) in OPEN_MMLAB {
        name = name.replacen(theirs, timms, 1);
    }
    match downsample(&name) {
        Some((stage, rest)) => format!("layers.{}.downsample.{rest}", stage + 1),
        None => name,
    }
}

/// OpenMMLab gathers the four neighbours of a patch merging by an unfolding, whose channels are `[channel,
/// neighbour]` with the neighbours by rows; the published order is `[neighbour, channel]` by columns.
fn open_mmlab_order(tensors: &mut BTreeMap<String, Imported>) {
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
