//! The streams of many tasks beside one that they share.
//!
//! What a pass leaves behind is, for every stage, the generic map and the narrow maps of its blocks side by
//! side. Both are the same for all tasks. A task's stream is an affine map of the second, and is made when
//! the task's decoder asks for it.

use std::vec;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Description, OutputNorms, Section};
use gradway_kernels::{KernelBackend, add, channels_first};
use serde::{Deserialize, Serialize};

use crate::bottleneck::{Projection, widen};
use crate::shared::Shared;

/// The blocks that a task extracts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamBlocks {
    /// All blocks of a stage; what they give adds up.
    #[default]
    EveryBlock,
    /// The last block of a stage.
    StageEnd,
}

impl StreamBlocks {
    /// Whether tasks extract from a block.
    pub(crate) fn extracts(self, section: &Section, block: usize) -> bool {
        let is_last = block + 1 == section.blocks;
        section.stage.is_some() && (self == Self::EveryBlock || is_last)
    }
}

/// How a task's features are made of the generic map and its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// `norm(y_gen + t)`.
    #[default]
    Sum,
    /// `norm(y_gen)` and `t`, side by side: twice the channels.
    Concat,
}

/// Channels of a task's features.
pub(crate) fn feature_channels(merge: Merge, description: &Description) -> Vec<usize> {
    let channels = description.stage_channels().into_iter();
    let factor = match merge {
        Merge::Sum => 1,
        Merge::Concat => 2,
    };
    channels.map(|channels| factor * channels).collect()
}

/// What the tasks' streams of a stage are made of, the same for all tasks.
#[derive(Debug, Clone)]
pub struct StageStreams<B: Backend> {
    /// The generic map.
    pub generic: Tensor<B, 4>,
    /// The narrow maps of its blocks side by side.
    pub narrow: Tensor<B, 4>,
}

impl<B: KernelBackend> Shared<B> for StageStreams<B> {
    fn collect(&self, maps: &mut Vec<Tensor<B, 4>>) {
        self.generic.collect(maps);
        self.narrow.collect(maps);
    }

    fn replaced(&self, maps: &mut vec::IntoIter<Tensor<B, 4>>) -> Self {
        Self {
            generic: self.generic.replaced(maps),
            narrow: self.narrow.replaced(maps),
        }
    }
}

/// What a pass leaves behind for the tasks.
pub(crate) struct TaskStreams<'a, B: KernelBackend> {
    description: &'a Description,
    /// Of the blocks of the current section.
    narrow: Vec<Tensor<B, 4>>,
    stages: Vec<StageStreams<B>>,
}

impl<'a, B: KernelBackend> TaskStreams<'a, B> {
    pub(crate) fn new(description: &'a Description) -> Self {
        Self {
            description,
            narrow: Vec::new(),
            stages: Vec::new(),
        }
    }

    pub(crate) fn description(&self) -> &'a Description {
        self.description
    }

    /// Takes in a narrow map of a block.
    pub(crate) fn push(&mut self, narrow: Tensor<B, 4>) {
        self.narrow.push(narrow);
    }

    /// Takes in the generic map at the end of a section.
    pub(crate) fn end_section(&mut self, section: usize, generic: Tensor<B, 4>) {
        let narrow = std::mem::take(&mut self.narrow);
        if self.description.sections[section].stage.is_some() {
            let axis = self.description.axis.of_map();
            let narrow = match <[_; 1]>::try_from(narrow) {
                Ok([narrow]) => narrow,
                Err(narrow) => Tensor::cat(narrow, axis),
            };
            self.stages.push(StageStreams { generic, narrow });
        }
    }

    /// What [`Self::of_task`] makes the features of a task of.
    pub(crate) fn into_stages(self) -> Vec<StageStreams<B>> {
        self.stages
    }

    /// The features of a task; `projections` has what it takes of the blocks of a section.
    pub(crate) fn of_task(
        description: &Description,
        streams: &[StageStreams<B>],
        merge: Merge,
        norms: &OutputNorms<B>,
        projections: impl Fn(usize) -> Vec<Projection<B>>,
    ) -> Vec<Tensor<B, 4>> {
        let axis = description.axis;
        let sections = description.sections.iter().enumerate();
        let stages = sections.filter_map(|(section, of)| Some((section, of.stage?)));
        let stage =
            |(StageStreams { generic, narrow }, (section, stage)): (&StageStreams<B>, _)| {
                let stream = widen(narrow.clone(), stacked(projections(section)), axis);
                match merge {
                    Merge::Sum => norms.forward(stage, add(generic.clone(), stream), axis),
                    Merge::Concat => {
                        let generic = norms.forward(stage, generic.clone(), axis);
                        Tensor::cat(vec![generic, channels_first(stream, axis)], 1)
                    }
                }
            };
        streams.iter().zip(stages).map(stage).collect()
    }
}

/// One projection of maps side by side, the sum of one projection of each.
fn stacked<B: KernelBackend>(projections: Vec<Projection<B>>) -> Projection<B> {
    let (weights, biases): (Vec<_>, Vec<_>) = projections.into_iter().unzip();
    let bias = biases.into_iter().flatten().reduce(|sum, bias| sum + bias);
    (Tensor::cat(weights, 0), bias)
}
