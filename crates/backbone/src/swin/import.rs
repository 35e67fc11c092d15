//! Names of Swin parameters in timm's and Microsoft's checkpoints.

use burn::tensor::backend::Backend;

use super::Swin;
use crate::checkpoint::Checkpoint;
use crate::import::{Import, Renamed};

const BUFFER: &str = "a buffer that is computed from the configuration";
const CLASSIFIER: &str = "belongs to the classifier";

impl<B: Backend> Import for Swin<B> {
    /// A reduction has a bias where a method was merged into it.
    fn prepare(&mut self, file: &Checkpoint) {
        for (stage, layer) in self.layers.iter_mut().enumerate() {
            let key = format!("layers.{stage}.downsample.reduction.bias");
            if let Some(merging) = layer.downsample.as_mut().filter(|_| file.contains(&key)) {
                merging.make_bias();
            }
        }
    }

    /// Our paths are timm's. Microsoft's checkpoints (and timm's before 0.9) hold a down-sampling
    /// at the end of the stage before, so only theirs have one in `layers.0`.
    fn rename(&self, key: &str, file: &Checkpoint) -> Renamed {
        if key.ends_with("relative_position_index") || key.ends_with("attn_mask") {
            return Renamed::Skip(BUFFER);
        }
        if key.starts_with("head.") || key == "norm.weight" || key == "norm.bias" {
            return Renamed::Skip(CLASSIFIER);
        }
        let path = match downsample(key) {
            Some((stage, rest)) if file.contains("layers.0.downsample.norm.weight") => {
                format!("layers.{}.downsample.{rest}", stage + 1)
            }
            _ => key.to_string(),
        };
        if path.starts_with("patch_embed.") || path.starts_with("layers.") {
            Renamed::To(norm_names(path))
        } else {
            Renamed::Unknown
        }
    }
}

/// The stage and the rest of a key inside a down-sampling.
fn downsample(key: &str) -> Option<(usize, &str)> {
    let (stage, rest) = key.strip_prefix("layers.")?.split_once(".downsample.")?;
    Some((stage.parse().ok()?, rest))
}

/// Burn calls the scale and shift of a norm gamma and beta.
fn norm_names(path: String) -> String {
    let in_norm = path
        .rsplit('.')
        .nth(1)
        .is_some_and(|module| module.starts_with("norm"));
    match path.rsplit_once('.') {
        Some((module, "weight")) if in_norm => format!("{module}.gamma"),
        Some((module, "bias")) if in_norm => format!("{module}.beta"),
        _ => path,
    }
}
