//! The detectors that a configuration can name.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, TrainBackend};
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::losses::BoxLoss;
use super::objects::{DetectionLimits, Segmented, Truth};
use super::rcnn::{Rcnn, RcnnConfig, StageConfig};
use super::retinanet::{FIRST_STAGE, RetinaNet, RetinaNetConfig};
use crate::table::{HeadDescriptor, HeadTask, MOST};

const fn describe(
    name: &'static str,
    summary: &'static str,
    source: &'static str,
) -> HeadDescriptor {
    HeadDescriptor {
        name,
        task: HeadTask::Detection,
        summary,
        source,
    }
}

pub(crate) const RETINANET: HeadDescriptor = describe(
    "retinanet",
    "FPN and two towers on every position: boxes in one step",
    "RetinaNet, arXiv 1708.02002",
);
pub(crate) const FASTER_RCNN: HeadDescriptor = describe(
    "faster_rcnn",
    "FPN, proposals, and a box head on each",
    "Faster R-CNN, arXiv 1506.01497",
);
pub(crate) const MASK_RCNN: HeadDescriptor = describe(
    "mask_rcnn",
    "Faster R-CNN with a mask for every object",
    "Mask R-CNN, arXiv 1703.06870",
);
pub(crate) const CASCADE_MASK_RCNN: HeadDescriptor = describe(
    "cascade_mask_rcnn",
    "Mask R-CNN in three stages, each on what the one before has moved",
    "Cascade R-CNN, arXiv 1906.09756",
);

/// Whichever detector a configuration names, with its fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum DetectorConfig {
    /// See [`retinanet`](super::retinanet).
    #[serde(rename = "retinanet")]
    RetinaNet(RetinaNetConfig),
    /// See [`rcnn`](super::rcnn).
    FasterRcnn(RcnnFields),
    /// See [`rcnn`](super::rcnn).
    MaskRcnn(RcnnFields),
    /// See [`rcnn`](super::rcnn).
    CascadeMaskRcnn(RcnnFields),
}

/// What can be changed of the published detectors of regions; see [`RcnnConfig`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RcnnFields {
    /// Width of the pyramid; 256 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Convolutions of a box head; 0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_convolutions: Option<usize>,
    /// Width of the hidden layers of a box head; 1024 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Loss of the boxes; L1 if absent, smooth L1 in a cascade.
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

/// Whichever module a [`DetectorConfig`] makes.
#[derive(Module, Debug)]
pub enum Detector<B: Backend> {
    /// See [`retinanet`](super::retinanet).
    RetinaNet(RetinaNet<B>),
    /// See [`rcnn`](super::rcnn).
    Rcnn(Rcnn<B>),
}

impl DetectorConfig {
    /// What a listing says of it.
    pub fn descriptor(&self) -> &'static HeadDescriptor {
        match self {
            Self::RetinaNet(_) => &RETINANET,
            Self::FasterRcnn(_) => &FASTER_RCNN,
            Self::MaskRcnn(_) => &MASK_RCNN,
            Self::CascadeMaskRcnn(_) => &CASCADE_MASK_RCNN,
        }
    }

    /// Whether it predicts masks, and so is trained on some.
    pub fn has_masks(&self) -> bool {
        self.rcnn().is_some_and(|rcnn| rcnn.mask_convolutions > 0)
    }

    /// Whether it reads a stage of the backbone, counted from the finest.
    pub fn reads(&self, stage: usize) -> bool {
        match self {
            Self::RetinaNet(_) => stage >= FIRST_STAGE,
            Self::FasterRcnn(_) | Self::MaskRcnn(_) | Self::CascadeMaskRcnn(_) => true,
        }
    }

    /// Whether a parameter of the detector has a gradient only where there are objects, or regions of some: a
    /// batch without any leaves it alone. All others have one in every batch.
    pub fn waits_for_objects(&self, path: &str) -> bool {
        let parts = ["boxes", "masks", "offsets", "box_tower", "box_output"];
        path.split('.').any(|part| parts.contains(&part))
    }

    /// The detector of regions that it is, if it is one.
    fn rcnn(&self) -> Option<RcnnConfig> {
        match self {
            Self::RetinaNet(_) => None,
            Self::FasterRcnn(fields) => Some(fields.over(RcnnConfig::faster())),
            Self::MaskRcnn(fields) => Some(fields.over(RcnnConfig::mask())),
            Self::CascadeMaskRcnn(fields) => Some(fields.over(RcnnConfig::cascade())),
        }
    }

    /// What is wrong with the fields, if anything: the key and why.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and its value.
    pub fn validate(&self) -> Result<(), String> {
        let in_range = |key: &str, value: usize| match value {
            0 => Err(format!("head.{key} = 0; it must be at least 1")),
            1..=MOST => Ok(()),
            _ => Err(format!("head.{key} = {value}; it must be at most {MOST}")),
        };
        let positive = |key: &str, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(format!("head.{key} = {value}; it must be positive")),
        };
        if let Self::RetinaNet(config) = self {
            in_range("channels", config.channels)?;
            in_range("convolutions", config.convolutions)?;
            return positive("box_weight", config.box_weight);
        }
        let Some(config) = self.rcnn() else {
            return Ok(());
        };
        in_range("channels", config.channels)?;
        in_range("width", config.width)?;
        in_range("stages", config.stages.len())?;
        positive("box_weight", config.box_weight)?;
        if config.stages.len() > 1 && !config.is_class_agnostic {
            return Err(format!(
                "head.stages has {} stages, which only `{}` takes",
                config.stages.len(),
                CASCADE_MASK_RCNN.name
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

    /// The detector for features of these widths.
    pub fn init<B: Backend>(
        &self,
        inputs: &[usize],
        classes: usize,
        device: &B::Device,
    ) -> Detector<B> {
        match (self, self.rcnn()) {
            (Self::RetinaNet(config), _) => {
                Detector::RetinaNet(config.init(inputs, classes, device))
            }
            (_, rcnn) => {
                let config = rcnn.unwrap_or_else(RcnnConfig::faster);
                Detector::Rcnn(config.init(inputs, classes, device))
            }
        }
    }
}

impl<B: TrainBackend> Detector<B> {
    /// The weighted sum of the losses of a batch, `[1]`.
    ///
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    pub fn loss(
        &self,
        features: &[Tensor<B, 4>],
        truth: &Truth<'_, impl Fn(usize, usize, Bounds) -> Vec<bool>>,
    ) -> Tensor<B, 1> {
        match self {
            Self::RetinaNet(detector) => {
                let levels = detector.forward(features);
                let losses = detector.losses(&levels, truth.objects, truth.sizes);
                losses.total(detector.config())
            }
            Self::Rcnn(detector) => detector.loss(features, truth),
        }
    }
}

impl<B: KernelBackend> Detector<B> {
    /// The objects of every image, the surest first.
    ///
    /// # Shapes
    ///
    /// - `features`: as of [`loss`](Self::loss)
    /// - `sizes`: `[batch]`, `[height, width]` of the images without padding
    pub fn detect(
        &self,
        features: &[Tensor<B, 4>],
        sizes: &[[usize; 2]],
        limits: DetectionLimits,
    ) -> Vec<Vec<Segmented>> {
        match self {
            Self::Rcnn(detector) => detector.detect(features, sizes, limits),
            Self::RetinaNet(detector) => {
                let found = detector.detect(detector.forward(features), sizes, limits);
                let without = |object| Segmented { object, mask: None };
                let images = found.into_iter();
                images
                    .map(|found| found.into_iter().map(without).collect())
                    .collect()
            }
        }
    }
}
