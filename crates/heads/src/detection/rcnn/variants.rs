//! The published detectors built on an [`Rcnn`], with some configurable fields.

use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::config::{RcnnConfig, StageConfig};
use super::network::Rcnn;
use crate::detection::losses::BoxLoss;
use crate::detection::pyramid::require_pyramid;
use crate::detection::settings::DetectorSettings;
use crate::head::{HeadDescriptor, HeadTask, in_range, positive};
use crate::maps::MapShape;
use crate::neck::NeckConfig;
use crate::neck::simple_pyramid::SimplePyramidConfig;

/// The configurable fields of the published detectors; see [`RcnnConfig`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RcnnFields {
    /// Number of channels of the pyramid; 256 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Number of convolutions of a box head; 0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_convolutions: Option<usize>,
    /// Width of the hidden layers of a box head; 1024 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// The box loss; if absent L1, or smooth L1 in a cascade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_loss: Option<BoxLoss>,
    /// Weight of the stages' box losses; 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_weight: Option<f64>,
    /// The stages; the published ones if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<StageConfig>>,
}

impl RcnnFields {
    fn over(&self, published: RcnnConfig) -> RcnnConfig {
        RcnnConfig {
            channels: self.channels.unwrap_or(published.channels),
            box_convolutions: self.box_convolutions.unwrap_or(published.box_convolutions),
            width: self.width.unwrap_or(published.width),
            box_loss: self.box_loss.unwrap_or(published.box_loss),
            box_weight: self.box_weight.unwrap_or(published.box_weight),
            stages: self.stages.clone().unwrap_or(published.stages),
            ..published
        }
    }
}

/// Declares a detector: its configuration, its description in listings, and its published settings.
macro_rules! variants {
    ($($config:ident = $published:ident, $name:literal, $summary:literal, $source:literal;)*) => {
        $(
            #[doc = concat!("Configuration of `", $name, "`: ", $summary, ".")]
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[serde(transparent)]
            pub struct $config(pub RcnnFields);

            impl $config {
                pub(crate) const DESCRIPTOR: HeadDescriptor = HeadDescriptor {
                    name: $name,
                    task: HeadTask::Detection,
                    summary: $summary,
                    source: $source,
                };

                /// Returns the published configuration with the changed fields.
                pub fn resolved(&self) -> RcnnConfig {
                    self.0.over(RcnnConfig::$published())
                }

                /// Initialises the detector for maps of these shapes, the finest first.
                pub fn init<B: Backend>(
                    &self,
                    maps: &[MapShape],
                    classes: usize,
                    device: &B::Device,
                ) -> Rcnn<B> {
                    self.resolved().init(maps, classes, device)
                }
            }

            impl DetectorSettings for $config {
                fn validate(&self, maps: &[MapShape]) -> Result<(), String> {
                    let config = self.resolved();
                    validate(&config)?;
                    require_pyramid($name, maps, config.channels)
                }

                fn neck(&self) -> NeckConfig {
                    NeckConfig::SimplePyramid(SimplePyramidConfig {
                        channels: self.resolved().channels,
                        ..Default::default()
                    })
                }

                fn has_masks(&self) -> bool {
                    self.resolved().mask_convolutions > 0
                }

                fn waits_for_objects(&self) -> &'static [&'static str] {
                    // The proposals' offsets and both heads.
                    &["offsets", "boxes", "masks"]
                }
            }
        )*
    };
}

variants! {
    FasterRcnnConfig = faster, "faster_rcnn", "FPN, proposals, and a box head on each",
        "Faster R-CNN, arXiv 1506.01497";
    MaskRcnnConfig = mask, "mask_rcnn", "Faster R-CNN with a mask for every object",
        "Mask R-CNN, arXiv 1703.06870";
    CascadeMaskRcnnConfig = cascade, "cascade_mask_rcnn",
        "Mask R-CNN with three stages, each of which refines the boxes of the one before",
        "Cascade R-CNN, arXiv 1906.09756";
}

fn validate(config: &RcnnConfig) -> Result<(), String> {
    in_range("channels", config.channels)?;
    in_range("width", config.width)?;
    in_range("stages", config.stages.len())?;
    positive("box_weight", config.box_weight)?;
    if config.stages.len() > 1 && !config.is_class_agnostic {
        return Err(format!(
            "head.stages has {} stages, which only `{}` supports",
            config.stages.len(),
            CascadeMaskRcnnConfig::DESCRIPTOR.name
        ));
    }
    for stage in &config.stages {
        positive("stages.weight", f64::from(stage.weight))?;
        if !(stage.iou > 0.0 && stage.iou < 1.0) {
            let iou = stage.iou;
            return Err(format!("head.stages.iou = {iou}; it must be in 0..1"));
        }
        for deviation in stage.deviations {
            positive("stages.deviations", f64::from(deviation))?;
        }
    }
    Ok(())
}
