//! The named variants of Swin.

use burn::tensor::backend::Backend;

use super::origin::LAYOUTS;
use super::{PATCH, Swin, SwinConfig};
use crate::checkpoint::Checkpoint;
use crate::config::BackboneConfig;
use crate::description::StageShape;
use crate::family::{Ineffective, Named, Statistics, Variant};
use crate::layout::shapes;
use crate::relatives::{Shapes, Signature, count};

/// The parameters of a variant of Swin.
#[derive(Debug)]
pub(crate) struct SwinVariant {
    channels: usize,
    depths: &'static [usize],
    heads: &'static [usize],
    window: usize,
}

impl Variant for SwinVariant {
    type Backbone<B: Backend> = Swin<B>;

    fn stages(&self) -> Vec<StageShape> {
        let stage = |stage| StageShape {
            channels: self.channels << stage,
            stride: PATCH << stage,
        };
        (0..self.depths.len()).map(stage).collect()
    }

    fn without_effect(&self, config: &BackboneConfig) -> Option<Ineffective> {
        config.positions_unused()
    }

    fn init<B: Backend>(&self, config: &BackboneConfig, device: &B::Device) -> Swin<B> {
        SwinConfig::new(self.channels, self.depths.to_vec(), self.heads.to_vec())
            .with_window(self.window)
            .with_drop_path(config.drop_path)
            .with_pad_first(config.pad_first)
            .init(device)
    }

    fn shapes(file: &Checkpoint) -> Option<Shapes> {
        shapes(LAYOUTS, file)
    }

    /// Channels, blocks and heads, and the rows of the bias tables.
    fn signature(shapes: &Shapes) -> Option<Signature> {
        let table = |stage: usize| {
            let key = format!("layers.{stage}.blocks.0.attn.relative_position_bias_table");
            match shapes.get(&key)?.as_slice() {
                &[rows, heads] => Some((rows, heads)),
                _ => None,
            }
        };
        let blocks = |stage: usize| {
            let name = |block| format!("layers.{stage}.blocks.{block}.norm1.gamma");
            count(shapes, name)
        };
        let (rows, _) = table(0)?;
        let mut sizes = vec![*shapes.get("patch_embed.proj.weight")?.first()?];
        for stage in 0..count(shapes, |stage| {
            format!("layers.{stage}.blocks.0.norm1.gamma")
        }) {
            let (own_rows, heads) = table(stage)?;
            // Of another architecture, which the import names.
            if own_rows != rows {
                return None;
            }
            sizes.extend([blocks(stage), heads]);
        }
        Some(Signature {
            family: "Swin",
            sizes,
            adjustable: vec![rows],
        })
    }
}

const fn swin(
    name: &'static str,
    summary: &'static str,
    channels: usize,
    depths: &'static [usize],
    heads: &'static [usize],
    window: usize,
) -> Named<SwinVariant> {
    let variant = SwinVariant {
        channels,
        depths,
        heads,
        window,
    };
    Named::new(name, summary, Statistics::IMAGENET, variant)
}

// ImageNet-22k, as in the publications of the methods. Those of ImageNet-1k are beside them on the hub.
#[rustfmt::skip]
pub(crate) static VARIANTS: &[Named<SwinVariant>] = &[
    swin("swin_tiny", "Swin-T, window 7", 96, &[2, 2, 6, 2], &[3, 6, 12, 24], 7)
        .pretrained("timm/swin_tiny_patch4_window7_224.ms_in22k"),
    swin("swin_small", "Swin-S, window 7", 96, &[2, 2, 18, 2], &[3, 6, 12, 24], 7)
        .pretrained("timm/swin_small_patch4_window7_224.ms_in22k"),
    swin("swin_base", "Swin-B, window 7", 128, &[2, 2, 18, 2], &[4, 8, 16, 32], 7)
        .pretrained("timm/swin_base_patch4_window7_224.ms_in22k"),
    swin("swin_large", "Swin-L, window 7", 192, &[2, 2, 18, 2], &[6, 12, 24, 48], 7)
        .pretrained("timm/swin_large_patch4_window7_224.ms_in22k"),
    swin("swin_base_w12", "Swin-B, window 12", 128, &[2, 2, 18, 2], &[4, 8, 16, 32], 12)
        .pretrained("timm/swin_base_patch4_window12_384.ms_in22k"),
    swin("swin_large_w12", "Swin-L, window 12", 192, &[2, 2, 18, 2], &[6, 12, 24, 48], 12)
        .pretrained("timm/swin_large_patch4_window12_384.ms_in22k"),
    swin("swin_mini", "a Swin of 0.3 M parameters, for tests and trials", 24, &[2, 2, 2, 2], &[1, 2, 4, 8], 7),
];
