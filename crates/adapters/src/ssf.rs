//! SSF: a scale and a shift of every channel after every operation of the backbone, `y = gamma * f(x) +
//! beta` (Lian et al. 2022, arXiv 2210.08823).
//!
//! On a Swin these are the patch embedding's convolution and norm, both norms of a block, the projections of
//! attention and MLP, and the norm and reduction of every patch merging. On a ConvNeXt they are the convolution and norm
//! of the stem and of every transition, and the depthwise convolution, norm and MLP of a block. On an EfficientNet-Lite,
//! whose convolutions include their activations, it is the end of every block's branch: an extension of this library.
//! Scales start at 1 and shifts at 0, so the model starts as the frozen one; the public code draws them with a
//! deviation of 0.02 around these values.
//!
//! Memory: gradients pass through the whole backbone, and every operation's output is kept for its scale,
//! including the MLP's wide map.

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{
    Access, Description, Operation, Operations, OutputNorms, Phase, Point, Site, Tunable,
};
use gradway_kernels::{KernelBackend, scale_and_shift};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{About, Method, Settings, parameter};
use crate::placement::{Around, features_around};
use crate::selected::Selected;
use crate::track::frozen_backbone;

pub(crate) const ABOUT: About = About {
    name: "ssf",
    summary: "scale and shift after every operation, and the output norms",
    source: "SSF, arXiv 2210.08823",
    starts_frozen: true,
    merges: Ok(()),
};

/// Configuration of [`Ssf`]; it has no fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SsfConfig {}

/// Scale and shift of every channel.
#[derive(Module, Debug)]
pub struct ScaleAndShift<B: Backend> {
    /// `[channels]`
    pub scale: Param<Tensor<B, 1>>,
    /// `[channels]`
    pub shift: Param<Tensor<B, 1>>,
}

impl<B: KernelBackend> ScaleAndShift<B> {
    /// Creates one module per operation at these points of a section and block.
    fn at(
        points: &[Point],
        [section, block]: [usize; 2],
        backbone: &mut impl Tunable<B>,
        device: &B::Device,
    ) -> Vec<Self> {
        let sites = points.iter().map(|&point| Site {
            point,
            section,
            block,
        });
        let widths = sites.filter_map(|site| Some(backbone.operation(site)?.outputs()));
        let new = |channels| Self {
            scale: Initializer::Ones.init([channels], device),
            shift: Initializer::Zeros.init([channels], device),
        };
        widths.map(new).collect()
    }
}

/// Merging of scale and shift into the parameters of the operation before.
impl<B: Backend> ScaleAndShift<B> {
    /// `gamma * b + beta`
    fn of_bias(&self, bias: Tensor<B, 1>) -> Param<Tensor<B, 1>> {
        parameter(bias * self.scale.val() + self.shift.val())
    }

    fn of_operation(&self, operation: Operation<'_, B>) {
        let zeros = || self.shift.val().zeros_like();
        let scale = self.scale.val();
        match operation {
            Operation::Norm(LayerNorm { gamma, beta, .. }) => {
                let old = beta.as_ref().map_or_else(zeros, Param::val);
                *beta = Some(self.of_bias(old));
                *gamma = parameter(gamma.val() * scale);
            }
            Operation::Linear(Linear { weight, bias }) => {
                let old = bias.as_ref().map_or_else(zeros, Param::val);
                *bias = Some(self.of_bias(old));
                *weight = parameter(weight.val() * scale.unsqueeze());
            }
            Operation::Convolution { weight, bias } => {
                let old = bias.as_ref().map_or_else(zeros, Param::val);
                *bias = Some(self.of_bias(old));
                *weight = parameter(weight.val() * scale.reshape([-1, 1, 1, 1]));
            }
        }
    }
}

/// The module of SSF.
#[derive(Module, Debug)]
pub struct Ssf<B: Backend, N: Module<B>> {
    /// The frozen backbone.
    pub backbone: N,
    /// Modules of the patch embedding: convolution and norm.
    pub embedding: Vec<ScaleAndShift<B>>,
    /// Modules of the transition to every section but the first: norm and reduction.
    pub transitions: Vec<Vec<ScaleAndShift<B>>>,
    /// Modules by section, block and operation.
    pub sections: Vec<Vec<Vec<ScaleAndShift<B>>>>,
    /// Output norms, trained.
    pub norms: OutputNorms<B>,
}

impl SsfConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        mut backbone: N,
        device: &B::Device,
    ) -> Ssf<B, N> {
        let Description {
            sections,
            operations,
            ..
        } = backbone.description();
        let mut at = |points: &[Point], section: usize, block: usize| {
            ScaleAndShift::at(points, [section, block], &mut backbone, device)
        };
        let embedding = at(&operations.embedding, 0, 0);
        let transitions = 1..sections.len();
        let transitions = transitions.map(|section| at(&operations.transition, section, 0));
        let transitions = transitions.collect();
        let sections = sections.iter().enumerate().map(|(section, shape)| {
            let blocks = 0..shape.blocks;
            blocks
                .map(|block| at(&operations.block, section, block))
                .collect()
        });
        Ssf {
            embedding,
            transitions,
            sections: sections.collect(),
            norms: OutputNorms::new(&backbone.description(), device),
            backbone: frozen_backbone(backbone),
        }
    }
}

impl Settings for SsfConfig {
    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }
}

impl<B: KernelBackend, N: Tunable<B>> Ssf<B, N> {
    /// The module at an access point, if there is one.
    fn at(&self, operations: &Operations, site: Site) -> Option<&ScaleAndShift<B>> {
        let place = |points: &[Point]| points.iter().position(|point| *point == site.point);
        if let Some(place) = place(&operations.block) {
            self.sections[site.section][site.block].get(place)
        } else if let Some(place) = place(&operations.transition) {
            self.transitions[site.section - 1].get(place)
        } else {
            self.embedding.get(place(&operations.embedding)?)
        }
    }

    /// All access points with a module.
    fn sites(&self, description: &Description) -> Vec<Site> {
        let at = |points: &[Point], section: usize, block: usize| -> Vec<Site> {
            let site = |&point| Site {
                point,
                section,
                block,
            };
            points.iter().map(site).collect()
        };
        let operations = &description.operations;
        let mut sites = at(&operations.embedding, 0, 0);
        for (section, shape) in description.sections.iter().enumerate() {
            if section > 0 {
                sites.extend(at(&operations.transition, section, 0));
            }
            for block in 0..shape.blocks {
                sites.extend(at(&operations.block, section, block));
            }
        }
        sites
    }
}

impl<B: KernelBackend, N: Tunable<B>> Method<B> for Ssf<B, N> {
    type Shared = Vec<Tensor<B, 4>>;

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}

impl<B: KernelBackend, N: Tunable<B>> Around<B, N> for Ssf<B, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Tensor<B, 4>> {
        let mut access = SsfAccess {
            module: self,
            description: &self.backbone.description(),
        };
        features_around(&self.backbone, &self.norms, images, phase, &mut access)
    }

    fn merged(&self) -> Option<Selected<B, N>> {
        let mut backbone = self.backbone.clone();
        let description = backbone.description();
        for site in self.sites(&description) {
            if let Some(change) = self.at(&description.operations, site) {
                change.of_operation(backbone.operation(site)?);
            }
        }
        Some(Selected {
            backbone,
            norms: self.norms.clone(),
        })
    }
}

struct SsfAccess<'a, B: Backend, N: Module<B>> {
    module: &'a Ssf<B, N>,
    description: &'a Description,
}

impl<B: KernelBackend, N: Tunable<B>> Access<B> for SsfAccess<'_, B, N> {
    fn at(&mut self, site: Site, _: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        let Description {
            operations, axis, ..
        } = self.description;
        match self.module.at(operations, site) {
            Some(ScaleAndShift { scale, shift }) => {
                scale_and_shift(output, scale.val(), shift.val(), *axis)
            }
            None => output,
        }
    }

    fn reads_mlp(&self) -> bool {
        true
    }
}
