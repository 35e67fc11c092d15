//! Names of Swin parameters in public checkpoints.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;

use super::Swin;
use super::origin::Origin;
use crate::checkpoint::Checkpoint;
use crate::import::{Import, Imported, Renamed, norm_names};

const BUFFER: &str = "a buffer that is computed from the configuration";
const CLASSIFIER: &str = "belongs to the classifier";

impl<B: Backend> Import for Swin<B> {
    fn anchors(&self) -> Vec<&'static str> {
        Origin::anchors()
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
        if key.starts_with("head.") || key == "norm.weight" || key == "norm.bias" {
            return Renamed::Skip(CLASSIFIER);
        }
        let path = (Origin::of(file).rename)(key, file);
        if path.starts_with("patch_embed.") || path.starts_with("layers.") {
            Renamed::To(norm_names(path))
        } else {
            Renamed::Unknown
        }
    }

    fn arrange(&self, tensors: &mut BTreeMap<String, Imported>, file: &Checkpoint) {
        (Origin::of(file).arrange)(tensors);
    }
}
