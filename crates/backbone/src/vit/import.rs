//! Names of the parameters of plain vision transformers in public checkpoints.

use std::collections::BTreeMap;

use burn::nn::Initializer;
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;

use super::Vit;
use super::origin::{LAYOUTS, META, RESAMPLING, SKIPPED, name, of_imagenets_images, resampling};
use crate::checkpoint::Checkpoint;
use crate::import::{Import, Imported, Renamed, norm_names};
use crate::layout::{anchors, join_projections, layout_of};
use crate::relatives::Relative;
use crate::tensor_file::HeaderMetadata;

impl<B: Backend> Import for Vit<B> {
    fn anchors(&self) -> Vec<&'static str> {
        anchors(LAYOUTS)
    }

    /// A file decides whether queries, keys and values have a bias, which grid the positions have, and how they are
    /// resampled.
    fn prepare(&mut self, file: &Checkpoint) {
        let has = |ending: &str| file.keys().any(|key| name(key, file).ends_with(ending));
        if has(".attn.qkv.bias") || has(".attn.query.bias") {
            for block in &mut self.blocks {
                let qkv = &mut block.attn.qkv;
                let (outputs, device) = (qkv.weight.lazy_shape()[1], qkv.weight.lazy_device());
                qkv.bias = Some(Initializer::Zeros.init([outputs], &device));
            }
        }
        if self.is_resampling_open {
            self.resampling = resampling(file);
        }
        let positions = file
            .shapes()
            .find(|(key, _)| name(key, file) == "pos_embed");
        if let (Some(learnt), Some((_, shape))) = (&mut self.pos_embed, positions)
            && let &[1, count, channels] = shape.as_slice()
        {
            let before = learnt.lazy_shape()[1] - self.side * self.side;
            // Of another grid; whether a class token has a position is settled in `arrange`.
            let side = count.isqrt();
            if side * side + before.max(1) == count || side * side == count {
                self.side = side;
                let device = learnt.lazy_device();
                let shape = [1, side * side + before, channels];
                *learnt = Initializer::Zeros.init(shape, &device);
            }
        }
    }

    fn rename(&self, key: &str, file: &Checkpoint) -> Renamed {
        let path = name(key, file);
        let skipped = SKIPPED
            .iter()
            .find(|(part, _)| path.starts_with(part) || path.ends_with(part));
        if let Some((_, reason)) = skipped {
            return Renamed::Skip(reason);
        }
        let is_own = [
            "cls_token",
            "reg_token",
            "pos_embed",
            "patch_embed.",
            "blocks.",
            "norm.",
        ]
        .iter()
        .any(|start| path.starts_with(start));
        if is_own {
            Renamed::To(norm_names(path))
        } else {
            Renamed::Unknown
        }
    }

    fn origin(&self, file: &Checkpoint) -> Option<&'static str> {
        Some(layout_of(LAYOUTS, file).origin)
    }

    fn relative(&self, file: &Checkpoint) -> Option<Relative> {
        let origin = of_imagenets_images(file).filter(|_| self.halves)?;
        Some(Relative::Images { origin })
    }

    fn header(&self) -> HeaderMetadata {
        let positions = self.pos_embed.iter();
        let word = positions.map(|_| (RESAMPLING.to_string(), self.resampling.name().to_string()));
        word.collect()
    }

    fn arrange(&self, tensors: &mut BTreeMap<String, Imported>, file: &Checkpoint) {
        // The paths of an enum's parameters start with its variant.
        let Some(front) = tensors
            .keys()
            .find_map(|path| path.strip_suffix("cls_token").map(String::from))
        else {
            return;
        };
        join_projections(tensors);
        for block in 0..self.blocks.len() {
            let attention = format!("blocks.{block}.attn.qkv.bias");
            if layout_of(LAYOUTS, file).origin == META
                && file.contains(&format!("{attention}_mask"))
                && let Some(bias) = tensors.get_mut(&format!("{front}{attention}"))
            {
                clear_keys(&mut bias.data);
            }
        }
        self.add_position_of_class(tensors, &front);
    }
}

impl<B: Backend> Vit<B> {
    /// A network with registers has no position of the class token; a publisher whose files have one adds it in the
    /// forward pass.
    fn add_position_of_class(&self, tensors: &mut BTreeMap<String, Imported>, front: &str) {
        let learnt = self.pos_embed.as_ref().map(|learnt| learnt.lazy_shape());
        let (class, positions) = (format!("{front}cls_token"), format!("{front}pos_embed"));
        let Some(learnt) = learnt.filter(|learnt| learnt[1] == self.side * self.side) else {
            return;
        };
        let Some(found) = tensors.get(&positions) else {
            return;
        };
        let (Some(&count), Some(&channels)) = (found.data.shape.get(1), found.data.shape.get(2))
        else {
            return;
        };
        if count != learnt[1] + 1 {
            return;
        }
        let values: Vec<f32> = found.data.iter::<f32>().collect();
        let (first, rest) = values.split_at(channels);
        let first = first.to_vec();
        let rest = TensorData::new(rest.to_vec(), [1, count - 1, channels]);
        if let Some(found) = tensors.get_mut(&positions) {
            found.data = rest;
        }
        if let Some(class) = tensors.get_mut(&class)
            && let Ok(values) = class.data.as_mut_slice::<f32>()
        {
            for (value, position) in values.iter_mut().zip(first) {
                *value += position;
            }
        }
    }
}

/// Sets the bias of keys to zero.
fn clear_keys(bias: &mut TensorData) {
    if let Ok(values) = bias.as_mut_slice::<f32>() {
        let third = values.len() / 3;
        values[third..2 * third].fill(0.0);
    }
}
