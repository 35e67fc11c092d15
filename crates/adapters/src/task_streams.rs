//! The streams of many tasks beside one that they share.
//!
//! What a pass leaves behind is, for every stage, the generic map and the narrow maps of its blocks side by
//! side. Both are the same for all tasks. A task's stream is an affine map of the second, and is made when
//! the task's decoder asks for it.

use burn::tensor::Tensor;
use gradway_backbone::{Description, OutputNorms, Section};
use gradway_kernels::{KernelBackend, add, channels_first};
use serde::{Deserialize, Serialize};

use crate::bottleneck::{Projection, widen};

/// The blocks that a task extracts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leave {
    /// All blocks of a stage; what they give adds up.
    #[default]
    EveryBlock,
    /// The last block of a stage.
    StageEnd,
}

impl Leave {
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

/// What a pass leaves behind for the tasks.
pub(crate) struct TaskStreams<'a, B: KernelBackend> {
    description: &'a Description,
    /// Of the blocks of the current section.
    narrow: Vec<Tensor<B, 4>>,
    /// Of every stage: the generic map, the narrow maps.
    features: Vec<Tensor<B, 4>>,
}

impl<'a, B: KernelBackend> TaskStreams<'a, B> {
    pub(crate) fn new(description: &'a Description) -> Self {
        Self {
            description,
            narrow: Vec::new(),
            features: Vec::new(),
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
            self.features.push(generic);
            let axis = self.description.axis.of_map();
            self.features.push(match <[_; 1]>::try_from(narrow) {
                Ok([narrow]) => narrow,
                Err(narrow) => Tensor::cat(narrow, axis),
            });
        }
    }

    /// The features of all tasks, as [`Self::of_task`] takes them.
    pub(crate) fn into_features(self) -> Vec<Tensor<B, 4>> {
        self.features
    }

    /// The features of a task; `projections` has what it takes of the blocks of a section.
    pub(crate) fn of_task(
        description: &Description,
        features: &[Tensor<B, 4>],
        merge: Merge,
        norms: &OutputNorms<B>,
        projections: impl Fn(usize) -> Vec<Projection<B>>,
    ) -> Vec<Tensor<B, 4>> {
        let axis = description.axis;
        let sections = description.sections.iter().enumerate();
        let stages = sections.filter_map(|(section, of)| Some((section, of.stage?)));
        let pairs = features.as_chunks::<2>().0.iter().zip(stages);
        let stage = |([generic, narrow], (section, stage)): (&[Tensor<B, 4>; 2], _)| {
            let stream = widen(narrow.clone(), stacked(projections(section)), axis);
            match merge {
                Merge::Sum => norms.forward(stage, add(generic.clone(), stream), axis),
                Merge::Concat => {
                    let generic = norms.forward(stage, generic.clone(), axis);
                    Tensor::cat(vec![generic, channels_first(stream, axis)], 1)
                }
            }
        };
        pairs.map(stage).collect()
    }
}

/// One projection of maps side by side, the sum of one projection of each.
fn stacked<B: KernelBackend>(projections: Vec<Projection<B>>) -> Projection<B> {
    let (weights, biases): (Vec<_>, Vec<_>) = projections.into_iter().unzip();
    let bias = biases.into_iter().flatten().reduce(|sum, bias| sum + bias);
    (Tensor::cat(weights, 0), bias)
}
