//! Task streams beside a shared stream.
//!
//! The result of a pass is, for every stage, the generic map and the concatenated narrow maps of its blocks.
//! Both are the same for all tasks. A task's stream is an affine map of the narrow maps, and is computed when
//! the task's decoder needs it.

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
    /// All blocks of a stage; their extractions are added.
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

/// The combination of the generic map and a task's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// `norm(y_gen + t)`.
    #[default]
    Sum,
    /// `norm(y_gen)` and `t` concatenated: twice the channels.
    Concat,
}

/// Returns the channels of a task's features.
pub(crate) fn feature_channels(merge: Merge, description: &Description) -> Vec<usize> {
    let channels = description.stage_channels().into_iter();
    let factor = match merge {
        Merge::Sum => 1,
        Merge::Concat => 2,
    };
    channels.map(|channels| factor * channels).collect()
}

/// The maps of a stage that the streams of all tasks are computed from.
#[derive(Debug, Clone)]
pub struct StageStreams<B: Backend> {
    /// The generic map.
    pub generic: Tensor<B, 4>,
    /// The concatenated narrow maps of its blocks.
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

/// Collects the maps of a pass for the tasks.
pub(crate) struct TaskStreams<'a, B: KernelBackend> {
    description: &'a Description,
    /// Narrow maps of the blocks of the current section.
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

    /// Adds the narrow map of a block.
    pub(crate) fn push(&mut self, narrow: Tensor<B, 4>) {
        self.narrow.push(narrow);
    }

    /// Adds the generic map at the end of a section; `map` makes the map of a stream.
    pub(crate) fn end_section(
        &mut self,
        section: usize,
        generic: Tensor<B, 4>,
        map: impl Fn(Tensor<B, 4>) -> Tensor<B, 4>,
    ) {
        let narrow: Vec<_> = self.narrow.drain(..).map(map).collect();
        if self.description.sections[section].stage.is_some() {
            let axis = self.description.axis.of_map();
            let narrow = match <[_; 1]>::try_from(narrow) {
                Ok([narrow]) => narrow,
                Err(narrow) => Tensor::cat(narrow, axis),
            };
            self.stages.push(StageStreams { generic, narrow });
        }
    }

    /// Returns the maps that [`Self::of_task`] computes the features of a task from.
    pub(crate) fn into_stages(self) -> Vec<StageStreams<B>> {
        self.stages
    }

    /// Returns the features of a task; `projections` returns its extractions from the blocks of a section.
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

/// Stacks projections into one projection of concatenated maps, the sum of the single ones.
fn stacked<B: KernelBackend>(projections: Vec<Projection<B>>) -> Projection<B> {
    let (weights, biases): (Vec<_>, Vec<_>) = projections.into_iter().unzip();
    let bias = biases.into_iter().flatten().reduce(|sum, bias| sum + bias);
    (Tensor::cat(weights, 0), bias)
}
