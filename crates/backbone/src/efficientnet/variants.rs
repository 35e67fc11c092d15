//! The named variants of EfficientNet-Lite.

use burn::tensor::backend::Backend;

use super::import::shapes;
use super::{EfficientNetLite, EfficientNetLiteConfig, ROWS, STEM_STRIDE};
use crate::checkpoint::Checkpoint;
use crate::config::BackboneConfig;
use crate::description::StageShape;
use crate::family::{Ineffective, Named, Statistics, Variant};
use crate::relatives::{Shapes, Signature, count};

/// `(value - 127) / 128`, the normalisation of the published weights.
const STATISTICS: Statistics = Statistics {
    mean: [127.0; 3],
    std: [128.0; 3],
};

/// The parameters of a variant of EfficientNet-Lite.
#[derive(Debug)]
pub(crate) struct EfficientNetLiteVariant {
    width: f64,
    depth: f64,
}

impl EfficientNetLiteVariant {
    fn config(&self) -> EfficientNetLiteConfig {
        EfficientNetLiteConfig::new()
            .with_width(self.width)
            .with_depth(self.depth)
    }
}

impl Variant for EfficientNetLiteVariant {
    type Backbone<B: Backend> = EfficientNetLite<B>;

    fn stages(&self) -> Vec<StageShape> {
        let mut stride = STEM_STRIDE;
        let rows = ROWS.iter().zip(self.config().layout());
        let shapes = rows.filter_map(|(row, (channels, _))| {
            stride *= row.stride;
            row.stage.map(|_| StageShape { channels, stride })
        });
        shapes.collect()
    }

    fn without_effect(&self, config: &BackboneConfig) -> Option<Ineffective> {
        if config.drop_path != 0.0 {
            return Some(Ineffective {
                setting: format!("backbone.drop_path = {}", config.drop_path),
                reason: "has no stochastic depth",
                right: "0",
            });
        }
        config
            .pad_first_unused()
            .or_else(|| config.positions_unused())
    }

    fn init<B: Backend>(&self, _: &BackboneConfig, device: &B::Device) -> EfficientNetLite<B> {
        self.config().init(device)
    }

    fn shapes(file: &Checkpoint) -> Option<Shapes> {
        shapes(file)
    }

    /// Blocks and channels of the rows.
    fn signature(shapes: &Shapes) -> Option<Signature> {
        let name = |row: usize, block: usize| format!("rows.{row}.{block}.project.weight");
        let mut sizes = vec![*shapes.get("stem.weight")?.first()?];
        for row in 0..ROWS.len() {
            let channels = *shapes.get(&name(row, 0))?.first()?;
            sizes.extend([channels, count(shapes, |block| name(row, block))]);
        }
        Some(Signature {
            family: "EfficientNetLite",
            sizes,
            adjustable: Vec::new(),
        })
    }
}

const fn lite(
    name: &'static str,
    summary: &'static str,
    width: f64,
    depth: f64,
) -> Named<EfficientNetLiteVariant> {
    Named::new(
        name,
        summary,
        STATISTICS,
        EfficientNetLiteVariant { width, depth },
    )
}

#[rustfmt::skip]
pub(crate) static VARIANTS: &[Named<EfficientNetLiteVariant>] = &[
    lite("efficientnet_lite0", "EfficientNet-Lite0", 1.0, 1.0).pretrained("timm/tf_efficientnet_lite0.in1k"),
    lite("efficientnet_lite1", "EfficientNet-Lite1", 1.0, 1.1).pretrained("timm/tf_efficientnet_lite1.in1k"),
    lite("efficientnet_lite2", "EfficientNet-Lite2", 1.1, 1.2).pretrained("timm/tf_efficientnet_lite2.in1k"),
];
