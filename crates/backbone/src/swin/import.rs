//! Names of Swin parameters in public checkpoints.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;

use super::Swin;
use super::origin::{LAYOUTS, OPEN_MMLAB, fold_mergings};
use crate::checkpoint::Checkpoint;
use crate::import::{Import, Imported, Renamed, norm_names};
use crate::layout::{anchors, join_projections, layout_of};

const BUFFER: &str = "a buffer that is computed from the configuration";
const CLASSIFIER: &str = "belongs to the classifier";
const OUTPUT_NORM: &str = "output norms belong to the method, not to the backbone";

/// The starts of keys that are left out, with the reason.
const SKIPPED: &[(&str, &str)] = &[
    ("head.", CLASSIFIER),
    ("norm.", CLASSIFIER),
    ("layernorm.", CLASSIFIER),
    // Beside the encoder in a `SwinBackbone` that transformers 5 saves.
    ("swin.layernorm.", CLASSIFIER),
    ("classifier.", CLASSIFIER),
    ("hidden_states_norms.", OUTPUT_NORM),
    (
        "embeddings.mask_token",
        "stands for masked patches in pre-training",
    ),
];

impl<B: Backend> Import for Swin<B> {
    fn anchors(&self) -> Vec<&'static str> {
        anchors(LAYOUTS)
    }

    /// A reduction has a bias if a method was merged into it.
    fn prepare(&mut self, file: &Checkpoint) {
        for (stage, layer) in self.layers.iter_mut().enumerate() {
            let key = format!("layers.{stage}.downsample.reduction.bias");
            if let Some(merging) = layer.downsample.as_mut().filter(|_| file.contains(&key)) {
                merging.make_bias();
            }
        }
    }

    fn rename(&self, key: &str, file: &Checkpoint) -> Renamed {
        if key.ends_with("relative_position_index") || key.ends_with("attn_mask") {
            return Renamed::Skip(BUFFER);
        }
        if let Some((_, reason)) = SKIPPED.iter().find(|(start, _)| key.starts_with(start)) {
            return Renamed::Skip(reason);
        }
        let path = (layout_of(LAYOUTS, file).name)(key);
        if path.starts_with("patch_embed.") || path.starts_with("layers.") {
            Renamed::To(norm_names(path))
        } else {
            Renamed::Unknown
        }
    }

    fn origin(&self, file: &Checkpoint) -> Option<&'static str> {
        Some(layout_of(LAYOUTS, file).origin)
    }

    fn arrange(&self, tensors: &mut BTreeMap<String, Imported>, file: &Checkpoint) {
        join_projections(tensors);
        if layout_of(LAYOUTS, file).origin == OPEN_MMLAB {
            fold_mergings(tensors);
        }
    }
}
