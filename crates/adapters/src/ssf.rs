//! SSF: a scale and a shift of every channel after every operation of the backbone, `y = gamma * f(x) +
//! beta` (Lian et al. 2022, arXiv 2210.08823).
//!
//! On a Swin after the patch embedding's convolution and norm, both norms of a block, the projections
//! of attention and MLP, and norm and reduction of every merging. A convolutional backbone has its
//! activations in its convolutions; there, at the end of every block's branch, which is an extension of
//! ours. Factors start at 1 and shifts at 0, so that the model starts from the frozen one; the public
//! code draws them with a deviation of 0.02 around that.
//!
//! Memory: a gradient passes through the whole backbone, and every operation's output is kept for its
//! scale, the MLP's wide map among them.

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::efficientnet::Convolution;
use gradway_backbone::swin::Swin;
use gradway_backbone::{
    Access, AnyBackbone, Backbone, Description, OutputNorms, Phase, Point, Section, Site,
};
use gradway_kernels::{KernelBackend, Lift, scale_and_shift};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::method::{Method, MethodDescriptor, Placement, Settings, features_around, parameter};
use crate::selected::Selected;
use crate::track::frozen_backbone;

pub(crate) const DESCRIPTOR: MethodDescriptor = MethodDescriptor {
    name: "ssf",
    summary: "scale and shift after every operation, and the output norms",
    source: "SSF, arXiv 2210.08823",
    placement: Placement::Tracked,
    starts_frozen: true,
    merges: Ok(()),
};

/// Configuration of [`Ssf`]; it has no choices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SsfConfig {}

/// Points before the first block.
const BEFORE: [Point; 2] = [Point::Patches, Point::Embedding];
/// Points of a block.
const INSIDE: [Point; 6] = [
    Point::AttentionNorm,
    Point::QueryKeyValue,
    Point::Projection,
    Point::MlpNorm,
    Point::MlpIn,
    Point::MlpOut,
];
/// Points of the transition to a section.
const BETWEEN: [Point; 2] = [Point::MergingNorm, Point::Merging];
/// Points of a convolutional block.
const CONVOLUTIONAL: [Point; 1] = [Point::Convolution];

/// Channels of what passes a point of a section.
fn channels(point: Point, section: &Section) -> usize {
    match point {
        Point::QueryKeyValue => 3 * section.channels,
        Point::MlpIn => section.hidden.unwrap_or(section.channels),
        // Of four neighbours, with half as many channels each.
        Point::MergingNorm => 2 * section.channels,
        _ => section.channels,
    }
}

/// Scale and shift of every channel.
#[derive(Module, Debug)]
pub struct ScaleAndShift<B: Backend> {
    /// `[channels]`
    pub scale: Param<Tensor<B, 1>>,
    /// `[channels]`
    pub shift: Param<Tensor<B, 1>>,
}

impl<B: Backend> ScaleAndShift<B> {
    fn at(points: &[Point], section: &Section, device: &B::Device) -> Vec<Self> {
        let widths = points.iter().map(|point| channels(*point, section));
        let new = |channels| Self {
            scale: Initializer::Ones.init([channels], device),
            shift: Initializer::Zeros.init([channels], device),
        };
        widths.map(new).collect()
    }
}

/// Each takes the change into a parameter of the operation before it.
impl<B: Backend> ScaleAndShift<B> {
    /// `gamma * b + beta`
    fn of_bias(&self, bias: Tensor<B, 1>) -> Param<Tensor<B, 1>> {
        parameter(bias * self.scale.val() + self.shift.val())
    }

    fn of_norm(&self, norm: &mut LayerNorm<B>) {
        let beta = norm.beta.as_ref().map(Param::val);
        let beta = beta.unwrap_or_else(|| self.shift.val().zeros_like());
        norm.beta = Some(self.of_bias(beta));
        norm.gamma = parameter(norm.gamma.val() * self.scale.val());
    }

    fn of_linear(&self, layer: &mut Linear<B>) {
        let bias = layer.bias.as_ref().map(Param::val);
        layer.bias = Some(self.of_bias(bias.unwrap_or_else(|| self.shift.val().zeros_like())));
        let scale = self.scale.val().unsqueeze();
        layer.weight = parameter(layer.weight.val() * scale);
    }

    fn of_filters(&self, weight: &mut Param<Tensor<B, 4>>, bias: Option<&mut Param<Tensor<B, 1>>>) {
        let scale = self.scale.val().reshape([-1, 1, 1, 1]);
        *weight = parameter(weight.val() * scale);
        if let Some(bias) = bias {
            *bias = self.of_bias(bias.val());
        }
    }
}

impl<B: Backend> Ssf<B> {
    fn merge_into_swin(&self, swin: &mut Swin<B>) {
        if let [patches, embedding] = self.embedding.as_slice() {
            let layer = &mut swin.patch_embed.proj;
            patches.of_filters(&mut layer.weight, layer.bias.as_mut());
            embedding.of_norm(&mut swin.patch_embed.norm);
        }
        let mergings = swin
            .layers
            .iter_mut()
            .filter_map(|stage| stage.downsample.as_mut());
        for (merging, change) in mergings.zip(&self.transitions) {
            if let [norm, reduction] = change.as_slice() {
                norm.of_norm(&mut merging.norm);
                reduction.of_linear(&mut merging.reduction);
            }
        }
        let blocks = swin.layers.iter_mut().flat_map(|stage| &mut stage.blocks);
        for (block, change) in blocks.zip(self.sections.iter().flatten()) {
            if let [norm1, qkv, proj, norm2, fc1, fc2] = change.as_slice() {
                norm1.of_norm(&mut block.norm1);
                qkv.of_linear(&mut block.attn.qkv);
                proj.of_linear(&mut block.attn.proj);
                norm2.of_norm(&mut block.norm2);
                fc1.of_linear(&mut block.mlp.fc1);
                fc2.of_linear(&mut block.mlp.fc2);
            }
        }
    }
}

/// The module of SSF.
#[derive(Module, Debug)]
pub struct Ssf<B: Backend> {
    /// Frozen.
    pub backbone: AnyBackbone<B>,
    /// Of the patch embedding: convolution and norm.
    pub embedding: Vec<ScaleAndShift<B>>,
    /// Of the transition to every section but the first: norm and reduction.
    pub transitions: Vec<Vec<ScaleAndShift<B>>>,
    /// By section, block and operation.
    pub sections: Vec<Vec<Vec<ScaleAndShift<B>>>>,
    /// Trained.
    pub norms: OutputNorms<B>,
}

impl SsfConfig {
    /// The module around a backbone.
    pub fn init<B: KernelBackend>(&self, backbone: AnyBackbone<B>, device: &B::Device) -> Ssf<B> {
        let description = backbone.description();
        let is_transformer = description.is_transformer();
        let (before, between, inside) = points(is_transformer);
        let sections = &description.sections;
        let blocks = |section: &Section| -> Vec<_> {
            let block = || ScaleAndShift::at(inside, section, device);
            (0..section.blocks).map(|_| block()).collect()
        };
        let transitions = sections.iter().skip(1);
        Ssf {
            backbone: frozen_backbone(backbone),
            embedding: ScaleAndShift::at(before, &sections[0], device),
            transitions: transitions
                .map(|section| ScaleAndShift::at(between, section, device))
                .collect(),
            sections: sections.iter().map(blocks).collect(),
            norms: OutputNorms::new(&description, device),
        }
    }
}

/// Before the first block, between sections, and inside a block.
fn points(is_transformer: bool) -> (&'static [Point], &'static [Point], &'static [Point]) {
    match is_transformer {
        true => (&BEFORE, &BETWEEN, &INSIDE),
        false => (&[], &[], &CONVOLUTIONAL),
    }
}

impl Settings for SsfConfig {
    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }
}

impl<B: KernelBackend> Method<B> for Ssf<B> {
    fn merged(&self) -> Option<Selected<B>> {
        let mut backbone = self.backbone.clone();
        match &mut backbone {
            AnyBackbone::Swin(swin) => self.merge_into_swin(swin),
            AnyBackbone::EfficientNetLite(network) => {
                let blocks = network.rows.iter_mut().flatten();
                for (block, change) in blocks.zip(self.sections.iter().flatten()) {
                    let [change] = change.as_slice() else {
                        return None;
                    };
                    let Convolution { weight, bias, .. } = &mut block.project;
                    change.of_filters(weight, bias.as_mut());
                }
            }
        }
        Some(Selected {
            backbone,
            norms: self.norms.clone(),
        })
    }

    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        _frozen: Option<&AnyBackbone<F>>,
        images: Tensor<F, 4>,
        phase: Phase,
    ) -> Vec<Tensor<B, 4>> {
        let mut inside = Inside {
            module: self,
            description: &self.backbone.description(),
        };
        features_around::<B, F, L>(&self.backbone, &self.norms, images, phase, &mut inside)
    }
}

struct Inside<'a, B: Backend> {
    module: &'a Ssf<B>,
    description: &'a Description,
}

impl<B: KernelBackend> Access<B> for Inside<'_, B> {
    fn at(&mut self, site: Site, _: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        let (before, between, inside) = points(self.description.is_transformer());
        let module = self.module;
        let place = |points: &[Point]| points.iter().position(|point| *point == site.point);
        let found = if let Some(place) = place(inside) {
            &module.sections[site.section][site.block][place]
        } else if let Some(place) = place(between) {
            &module.transitions[site.section - 1][place]
        } else if let Some(place) = place(before) {
            &module.embedding[place]
        } else {
            return output;
        };
        scale_and_shift(
            output,
            found.scale.val(),
            found.shift.val(),
            self.description.axis,
        )
    }

    fn reads_mlp(&self) -> bool {
        true
    }
}
