//! The named variants of plain vision transformers.

use burn::tensor::backend::Backend;

use super::origin::LAYOUTS;
use super::{Positions, STAGES, Vit, VitConfig};
use crate::checkpoint::Checkpoint;
use crate::config::BackboneConfig;
use crate::description::StageShape;
use crate::family::{Ineffective, Named, Statistics, Variant};
use crate::layout::shapes;
use crate::relatives::{Shapes, Signature, count};

/// The parameters of a variant.
#[derive(Debug)]
pub(crate) struct VitVariant(VitConfig);

impl Variant for VitVariant {
    type Backbone<B: Backend> = Vit<B>;

    fn stages(&self) -> Vec<StageShape> {
        let stage = StageShape {
            channels: self.0.channels,
            stride: self.0.patch,
        };
        vec![stage; STAGES]
    }

    fn without_effect(&self, config: &BackboneConfig) -> Option<Ineffective> {
        let positions = match self.0.positions {
            Positions::Learnt { .. } => None,
            Positions::Rotary => config.positions_unused(),
        };
        config.pad_first_unused().or(positions)
    }

    fn init<B: Backend>(&self, config: &BackboneConfig, device: &B::Device) -> Vit<B> {
        let variant = VitConfig {
            drop_path: config.drop_path,
            resampling: config.positions,
            ..self.0
        };
        variant.init(device)
    }

    fn shapes(file: &Checkpoint) -> Option<Shapes> {
        shapes(LAYOUTS, file)
    }

    /// Channels, side of a patch, blocks, registers, and which parts there are. The side of learnt positions can be any.
    fn signature(shapes: &Shapes) -> Option<Signature> {
        let has = |name: &str| shapes.contains_key(name);
        let &[channels, _, _, patch] = shapes.get("patch_embed.proj.weight")?.as_slice() else {
            return None;
        };
        // A Swin has none.
        shapes.get("cls_token")?;
        let registers = shapes.get("reg_token").and_then(|shape| shape.get(1));
        let blocks = count(shapes, |block| format!("blocks.{block}.norm1.gamma"));
        let parts = [
            "pos_embed",
            "blocks.0.ls1.gamma",
            "blocks.0.mlp.fc1_g.weight",
        ];
        let sizes = [channels, patch, blocks, registers.copied().unwrap_or(0)];
        Some(Signature {
            family: "Vit",
            sizes: [&sizes[..], &parts.map(|part| usize::from(has(part)))].concat(),
            adjustable: Vec::new(),
        })
    }
}

/// Channels, heads and blocks.
type Size = (usize, usize, usize);

const SMALL: Size = (384, 6, 12);
const BASE: Size = (768, 12, 12);
const LARGE: Size = (1024, 16, 24);

const fn named(
    name: &'static str,
    summary: &'static str,
    statistics: Statistics,
    variant: VitConfig,
) -> Named<VitVariant> {
    Named::new(name, summary, statistics, VitVariant(variant))
}

const fn dinov2((channels, heads, blocks): Size, registers: usize) -> VitConfig {
    VitConfig {
        patch: 14,
        channels,
        heads,
        blocks,
        registers,
        positions: Positions::Learnt {
            side: 37,
            class: registers == 0,
        },
        epsilon: 1e-6,
        layer_scale: true,
        swiglu: false,
        qkv_bias: true,
        halves: false,
        resampling: None,
        drop_path: 0.0,
    }
}

const fn dinov3(size: Size, swiglu: bool) -> VitConfig {
    VitConfig {
        patch: 16,
        positions: Positions::Rotary,
        epsilon: 1e-5,
        swiglu,
        qkv_bias: false,
        ..dinov2(size, 4)
    }
}

const fn augreg(size: Size) -> VitConfig {
    VitConfig {
        halves: true,
        ..mae(size)
    }
}

const fn mae(size: Size) -> VitConfig {
    VitConfig {
        patch: 16,
        positions: Positions::Learnt {
            side: 14,
            class: true,
        },
        layer_scale: false,
        ..dinov2(size, 0)
    }
}

#[rustfmt::skip]
pub(crate) static VARIANTS: &[Named<VitVariant>] = &[
    named("dinov2_small", "DINOv2 ViT-S, patch 14", Statistics::IMAGENET, dinov2(SMALL, 0))
        .pretrained("facebook/dinov2-small"),
    named("dinov2_base", "DINOv2 ViT-B, patch 14", Statistics::IMAGENET, dinov2(BASE, 0))
        .pretrained("facebook/dinov2-base"),
    named("dinov2_large", "DINOv2 ViT-L, patch 14", Statistics::IMAGENET, dinov2(LARGE, 0))
        .pretrained("facebook/dinov2-large"),
    named("dinov2_small_reg", "DINOv2 ViT-S with 4 registers, patch 14", Statistics::IMAGENET, dinov2(SMALL, 4))
        .pretrained("facebook/dinov2-with-registers-small"),
    named("dinov2_base_reg", "DINOv2 ViT-B with 4 registers, patch 14", Statistics::IMAGENET, dinov2(BASE, 4))
        .pretrained("facebook/dinov2-with-registers-base"),
    named("dinov2_large_reg", "DINOv2 ViT-L with 4 registers, patch 14", Statistics::IMAGENET, dinov2(LARGE, 4))
        .pretrained("facebook/dinov2-with-registers-large"),
    named("dinov3_small", "DINOv3 ViT-S, patch 16", Statistics::IMAGENET, dinov3(SMALL, false))
        .gated("facebook/dinov3-vits16-pretrain-lvd1689m"),
    named("dinov3_small_plus", "DINOv3 ViT-S+ with SwiGLU, patch 16", Statistics::IMAGENET, dinov3(SMALL, true))
        .gated("facebook/dinov3-vits16plus-pretrain-lvd1689m"),
    named("dinov3_base", "DINOv3 ViT-B, patch 16", Statistics::IMAGENET, dinov3(BASE, false))
        .gated("facebook/dinov3-vitb16-pretrain-lvd1689m"),
    named("dinov3_large", "DINOv3 ViT-L, patch 16", Statistics::IMAGENET, dinov3(LARGE, false))
        .gated("facebook/dinov3-vitl16-pretrain-lvd1689m"),
    named("vit_small_16", "ViT-S of AugReg, patch 16", Statistics::HALVES, augreg(SMALL))
        .pretrained("timm/vit_small_patch16_224.augreg_in21k"),
    named("vit_base_16", "ViT-B of AugReg, patch 16", Statistics::HALVES, augreg(BASE))
        .pretrained("timm/vit_base_patch16_224.augreg_in21k"),
    named("vit_large_16", "ViT-L of AugReg, patch 16", Statistics::HALVES, augreg(LARGE))
        .pretrained("timm/vit_large_patch16_224.augreg_in21k"),
    // The networks of AugReg, for images that are normalised with ImageNet's mean and deviation.
    named("mae_base", "ViT-B of MAE, patch 16", Statistics::IMAGENET, mae(BASE))
        .pretrained("timm/vit_base_patch16_224.mae"),
    named("mae_large", "ViT-L of MAE, patch 16", Statistics::IMAGENET, mae(LARGE))
        .pretrained("timm/vit_large_patch16_224.mae"),
    named("vit_mini", "a DINOv2 of 0.1 M parameters, for tests and trials", Statistics::IMAGENET, dinov2((32, 2, 8), 2)),
];
