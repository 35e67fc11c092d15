//! The declarations of a backbone family for the table.

use burn::tensor::backend::Backend;

use crate::checkpoint::Checkpoint;
use crate::config::BackboneConfig;
use crate::description::StageShape;
use crate::pretrained::Pretrained;
use crate::relatives::{Shapes, Signature};

/// The normalisation of a backbone's training images, in 0..255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Statistics {
    /// Mean of red, green and blue.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue.
    pub std: [f32; 3],
}

impl Statistics {
    /// The statistics of ImageNet.
    pub(crate) const IMAGENET: Self = Self {
        mean: [123.675, 116.28, 103.53],
        std: [58.395, 57.12, 57.375],
    };

    /// Half of the range as mean and deviation, which takes images to -1..1.
    pub(crate) const HALVES: Self = Self {
        mean: [127.5; 3],
        std: [127.5; 3],
    };
}

/// A setting without an effect.
#[derive(Debug)]
pub(crate) struct Ineffective {
    /// The key and its value.
    pub setting: String,
    /// The reason, such as `has no stochastic depth`.
    pub reason: &'static str,
    /// The value that it must have.
    pub right: &'static str,
}

/// A named variant.
#[derive(Debug)]
pub(crate) struct Named<V> {
    /// Name in configurations and on the command line.
    pub name: &'static str,
    /// Description in one line.
    pub summary: &'static str,
    /// The normalisation of its images.
    pub statistics: Statistics,
    /// The parameters of the variant.
    pub variant: V,
    /// The weight file that `weights = "pretrained"` means; see [`Named::pretrained`].
    pub pretrained: Option<Pretrained>,
}

impl<V> Named<V> {
    /// A variant without a canonical weight file.
    pub(crate) const fn new(
        name: &'static str,
        summary: &'static str,
        statistics: Statistics,
        variant: V,
    ) -> Self {
        Self {
            name,
            summary,
            statistics,
            variant,
            pretrained: None,
        }
    }

    /// The same with `model.safetensors` of a repository on the hub as canonical weights.
    pub(crate) const fn pretrained(mut self, repository: &'static str) -> Self {
        self.pretrained = Some(Pretrained::of(repository));
        self
    }

    /// The same for a repository whose publisher asks for consent to terms.
    pub(crate) const fn gated(mut self, repository: &'static str) -> Self {
        self.pretrained = Some(Pretrained::gated(repository));
        self
    }
}

/// The parameters of a variant of a family.
pub(crate) trait Variant: 'static {
    /// The module type of the family.
    type Backbone<B: Backend>;

    /// Returns the stages, the finest first.
    fn stages(&self) -> Vec<StageShape>;

    /// Returns a setting other than the default that has no effect on the family, with the reason and the value that
    /// it must have.
    fn without_effect(&self, _config: &BackboneConfig) -> Option<Ineffective> {
        None
    }

    /// Returns the backbone with random weights.
    fn init<B: Backend>(&self, config: &BackboneConfig, device: &B::Device) -> Self::Backbone<B>;

    /// Returns the shapes of a file's tensors by the paths of the family's parameters, if the file has a part that
    /// could be of the family.
    fn shapes(_file: &Checkpoint) -> Option<Shapes> {
        None
    }

    /// Returns what tells the variants apart, from the shapes of parameters by their paths; `None` if they are of
    /// another family.
    fn signature(_shapes: &Shapes) -> Option<Signature> {
        None
    }
}

impl BackboneConfig {
    /// For a backbone that shifts no windows.
    pub(crate) fn pad_first_unused(&self) -> Option<Ineffective> {
        self.pad_first.then(|| Ineffective {
            setting: "backbone.pad_first = true".to_string(),
            reason: "shifts no windows",
            right: "false",
        })
    }

    /// For a backbone without learnt positions.
    pub(crate) fn positions_unused(&self) -> Option<Ineffective> {
        self.positions.map(|positions| Ineffective {
            setting: format!("backbone.positions = \"{}\"", positions.name()),
            reason: "has no learnt positions",
            right: "absent",
        })
    }
}
