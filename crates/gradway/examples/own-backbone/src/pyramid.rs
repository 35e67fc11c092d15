//! A backbone: residual blocks of two convolutions, in three stages at strides of 4, 8 and 16.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway::backbone::{
    Access, Backbone, BackboneDescriptor, BlockAccess, Checkpoint, Description, Import, Operation,
    Operations, Phase, Point, Renamed, Section, Site,
};
use gradway::kernels::{
    Activation, ChannelAxis, ConvolutionOptions, KernelBackend, Lift, add, convolution,
};

/// Channels of the sections; each ends a stage.
const CHANNELS: [usize; 3] = [24, 48, 96];
/// Blocks of a section.
const BLOCKS: usize = 2;
/// Stride of the first section; each next one has twice as much.
const STRIDE: usize = 4;

/// The network. Maps are `[batch, channels, height, width]`.
#[derive(Module, Debug)]
pub struct Pyramid<B: Backend> {
    /// From the image to the first section.
    stem: Conv2d<B>,
    /// From each section to the next.
    transitions: Vec<Conv2d<B>>,
    /// Blocks by section.
    sections: Vec<Vec<Block<B>>>,
}

/// `x + second(relu(first(x)))`
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    first: Conv2d<B>,
    second: Conv2d<B>,
}

impl<B: Backend> Pyramid<B> {
    /// The network with random weights.
    pub fn new(device: &B::Device) -> Self {
        let layer = |[inputs, outputs]: [usize; 2], kernel, stride| {
            Conv2dConfig::new([inputs, outputs], [kernel, kernel])
                .with_stride([stride, stride])
                .init(device)
        };
        let block = |channels| Block {
            first: layer([channels, channels], 3, 1),
            second: layer([channels, channels], 3, 1),
        };
        let pairs = CHANNELS.windows(2);
        Self {
            stem: layer([3, CHANNELS[0]], STRIDE, STRIDE),
            transitions: pairs.map(|pair| layer([pair[0], pair[1]], 2, 2)).collect(),
            sections: CHANNELS
                .iter()
                .map(|&channels| (0..BLOCKS).map(|_| block(channels)).collect())
                .collect(),
        }
    }
}

/// What configurations need to know: the name, the normalisation of images, the stages.
pub fn descriptor() -> BackboneDescriptor {
    let description = description();
    BackboneDescriptor {
        name: "pyramid",
        summary: "residual blocks in three stages",
        mean: [123.675, 116.28, 103.53],
        std: [58.395, 57.12, 57.375],
        stages: description.shapes(&description.stage_channels()),
        pretrained: None,
    }
}

fn description() -> Description {
    let sections = CHANNELS.into_iter().enumerate();
    Description {
        axis: ChannelAxis::First,
        sections: sections
            .map(|(index, channels)| Section {
                channels,
                hidden: None,
                stride: STRIDE << index,
                blocks: BLOCKS,
                stage: Some(index),
            })
            .collect(),
        branches: vec![Point::Convolution],
        operations: Operations {
            embedding: vec![Point::Embedding],
            transition: vec![Point::Merging],
            block: vec![Point::Convolution],
        },
        has_tokens: false,
        batch_norms: false,
    }
}

impl<B: KernelBackend> Backbone<B> for Pyramid<B> {
    fn description(&self) -> Description {
        description()
    }

    fn block_path(&self, section: usize, block: usize) -> String {
        format!("sections.{section}.{block}")
    }

    fn transition_path(&self, section: usize) -> Option<String> {
        let before = section.checked_sub(1)?;
        Some(format!("transitions.{before}"))
    }

    fn operation(&mut self, site: Site) -> Option<Operation<'_, B>> {
        let Conv2d { weight, bias, .. } = match site.point {
            Point::Embedding => &mut self.stem,
            Point::Merging => self.transitions.get_mut(site.section.checked_sub(1)?)?,
            Point::Convolution => {
                let block = self.sections.get_mut(site.section)?.get_mut(site.block)?;
                &mut block.second
            }
            _ => return None,
        };
        Some(Operation::Convolution { weight, bias })
    }

    fn forward(
        &self,
        images: Tensor<B, 4>,
        // There is no stochastic depth.
        _: Phase,
        access: &mut impl Access<B>,
    ) -> Vec<Tensor<B, 4>> {
        let stem = apply(&self.stem, images.clone(), Activation::Identity);
        let mut x = BlockAccess::new(access, 0, 0).at(Point::Embedding, &images, stem);
        let mut outputs = Vec::new();
        for (section, blocks) in self.sections.iter().enumerate() {
            if let Some(before) = section.checked_sub(1) {
                let merged = apply(&self.transitions[before], x.clone(), Activation::Identity);
                x = BlockAccess::new(access, section, 0).at(Point::Merging, &x, merged);
            }
            for (block, layers) in blocks.iter().enumerate() {
                let mut inside = BlockAccess::new(access, section, block);
                let narrow = apply(&layers.first, x.clone(), Activation::Relu);
                let branch = apply(&layers.second, narrow, Activation::Identity);
                // A method may read the branch, change it, or both.
                let branch = inside.at(Point::Convolution, &x, branch);
                let sum = add(x.clone(), branch);
                x = inside.at(Point::Block, &x, sum);
            }
            x = BlockAccess::new(access, section, 0).at(Point::Section, &x.clone(), x);
            outputs.push(x.clone());
        }
        outputs
    }

    /// The network's own convolution without its bias. Its weights are lifted to `T` as constants.
    fn transition<T: KernelBackend, L: Lift<B, T>>(
        &self,
        section: usize,
        highway: Tensor<T, 4>,
    ) -> Tensor<T, 4> {
        match self.transitions.get(section) {
            Some(layer) => {
                let weight = L::lift(layer.weight.val());
                convolve(highway, weight, None, layer.stride[0], Activation::Identity)
            }
            None => highway,
        }
    }
}

fn apply<B: KernelBackend>(layer: &Conv2d<B>, x: Tensor<B, 4>, after: Activation) -> Tensor<B, 4> {
    let bias = layer.bias.as_ref().map(Param::val);
    convolve(x, layer.weight.val(), bias, layer.stride[0], after)
}

/// A convolution of `ceil(side / stride)` positions along each side.
fn convolve<B: KernelBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
    stride: usize,
    after: Activation,
) -> Tensor<B, 4> {
    let [_, _, height, width] = x.dims();
    let [_, _, _, kernel] = weight.dims();
    let options = ConvolutionOptions::same([height, width], kernel, stride);
    convolution(x, weight, bias, options.with_activation(after))
}

/// Names in weight files are those of the fields.
impl<B: Backend> Import for Pyramid<B> {
    fn anchors(&self) -> Vec<&'static str> {
        vec!["stem.weight"]
    }

    fn rename(&self, key: &str, _: &Checkpoint) -> Renamed {
        match key.split('.').next() {
            Some("stem" | "transitions" | "sections") => Renamed::To(key.to_string()),
            Some("classifier") => Renamed::Skip("belongs to the classifier"),
            _ => Renamed::Unknown,
        }
    }
}
