//! The named variants of ConvNeXt.

use burn::tensor::backend::Backend;

use super::origin::shapes;
use super::{ConvNext, ConvNextConfig, PATCH};
use crate::checkpoint::Checkpoint;
use crate::config::BackboneConfig;
use crate::description::StageShape;
use crate::family::{Ineffective, Named, Statistics, Variant};
use crate::relatives::{Shapes, Signature, count};

/// The parameters of a variant of ConvNeXt.
#[derive(Debug)]
pub(crate) struct ConvNextVariant {
    /// Number of channels of the first stage; each stage doubles it.
    channels: usize,
    depths: [usize; 4],
}

impl ConvNextVariant {
    /// Number of channels of each stage.
    fn channels(&self) -> impl Iterator<Item = usize> {
        (0..self.depths.len()).map(|stage| self.channels << stage)
    }
}

impl Variant for ConvNextVariant {
    type Backbone<B: Backend> = ConvNext<B>;

    fn stages(&self) -> Vec<StageShape> {
        let stages = self.channels().enumerate();
        let shape = |(stage, channels)| StageShape {
            channels,
            stride: PATCH << stage,
        };
        stages.map(shape).collect()
    }

    fn without_effect(&self, config: &BackboneConfig) -> Option<Ineffective> {
        config
            .pad_first_unused()
            .or_else(|| config.positions_unused())
    }

    fn init<B: Backend>(&self, config: &BackboneConfig, device: &B::Device) -> ConvNext<B> {
        let variant = ConvNextConfig {
            channels: self.channels().collect(),
            depths: self.depths.to_vec(),
            drop_path: config.drop_path,
        };
        variant.init(device)
    }

    fn shapes(file: &Checkpoint) -> Option<Shapes> {
        shapes(file)
    }

    /// Channels and blocks of the stages.
    fn signature(shapes: &Shapes) -> Option<Signature> {
        let name = |stage, block| format!("stages.{stage}.blocks.{block}.conv_dw.weight");
        let stages = count(shapes, |stage| name(stage, 0));
        let mut sizes = vec![*shapes.get("stem.conv.weight")?.first()?];
        for stage in 0..stages {
            let channels = *shapes.get(&name(stage, 0))?.first()?;
            sizes.extend([channels, count(shapes, |block| name(stage, block))]);
        }
        Some(Signature {
            family: "ConvNext",
            sizes,
            adjustable: Vec::new(),
        })
    }
}

const fn convnext(
    name: &'static str,
    summary: &'static str,
    channels: usize,
    depths: [usize; 4],
) -> Named<ConvNextVariant> {
    let variant = ConvNextVariant { channels, depths };
    Named::new(name, summary, Statistics::IMAGENET, variant)
}

// ImageNet-22k, as those of Swin.
#[rustfmt::skip]
pub(crate) static VARIANTS: &[Named<ConvNextVariant>] = &[
    convnext("convnext_tiny", "ConvNeXt-T", 96, [3, 3, 9, 3])
        .pretrained("timm/convnext_tiny.fb_in22k"),
    convnext("convnext_small", "ConvNeXt-S", 96, [3, 3, 27, 3])
        .pretrained("timm/convnext_small.fb_in22k"),
    convnext("convnext_base", "ConvNeXt-B", 128, [3, 3, 27, 3])
        .pretrained("timm/convnext_base.fb_in22k"),
    convnext("convnext_large", "ConvNeXt-L", 192, [3, 3, 27, 3])
        .pretrained("timm/convnext_large.fb_in22k"),
    convnext("convnext_mini", "a ConvNeXt of 0.3 M parameters, for tests and trials", 16, [1, 1, 2, 1]),
];
