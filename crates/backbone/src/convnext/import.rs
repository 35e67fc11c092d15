//! ConvNeXt's parameters in public checkpoints.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;

use super::ConvNext;
use super::origin::{SKIPPED, anchors, origin, path, timms_name};
use crate::checkpoint::Checkpoint;
use crate::import::{Import, Imported, Renamed};

impl<B: Backend> Import for ConvNext<B> {
    fn anchors(&self) -> Vec<&'static str> {
        anchors()
    }

    /// A file of a detector or of features alone has no norm behind the last stage, which none of them needs.
    fn prepare(&mut self, file: &Checkpoint) {
        let is_closing = |key: &str| path(key).is_some_and(|path| path.starts_with("norm."));
        if !file.keys().any(is_closing) {
            self.norm = None;
        }
    }

    fn rename(&self, key: &str, _: &Checkpoint) -> Renamed {
        if let Some(path) = path(key) {
            return Renamed::To(path);
        }
        let skipped = SKIPPED.iter().find(|(start, _)| key.starts_with(start));
        skipped.map_or(Renamed::Unknown, |(_, reason)| Renamed::Skip(reason))
    }

    fn origin(&self, file: &Checkpoint) -> Option<&'static str> {
        origin(file)
    }

    /// Scales may be `[channels, 1, 1]`, and linear layers convolutions of 1x1.
    fn arrange(&self, tensors: &mut BTreeMap<String, Imported>, _: &Checkpoint) {
        for (path, tensor) in tensors {
            let axes = match path.rsplit_once(".blocks.") {
                Some((_, inside)) if inside.ends_with(".ls.gamma") => 1,
                Some((_, inside)) if inside.ends_with(".weight") && inside.contains(".mlp.") => 2,
                _ => continue,
            };
            let shape = tensor.data.shape.to_vec();
            if let Some((kept, ones)) = shape.split_at_checked(axes)
                && ones.iter().all(|side| *side == 1)
            {
                tensor.data.shape = kept.to_vec().into();
            }
        }
    }

    fn public_name(&self, path: String) -> String {
        timms_name(&path)
    }
}
