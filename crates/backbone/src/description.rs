//! The description of a backbone for tuning methods.

use gradway_kernels::ChannelAxis;

use crate::Point;

/// A sequence of blocks with one width and resolution.
///
/// A Swin has one section per stage; an EfficientNet-Lite several per stride, because its width
/// grows between down-samplings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Number of channels of every block output in the section.
    pub channels: usize,
    /// Number of hidden channels of a block's MLP, if it has one.
    pub hidden: Option<usize>,
    /// Input pixels per map position along one side.
    pub stride: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// The stage whose output is this section's, if it ends a stage.
    pub stage: Option<usize>,
}

/// The shape of a stage's features for a neck or a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageShape {
    /// Number of channels of its features.
    pub channels: usize,
    /// Input pixels per map position along one side.
    pub stride: usize,
}

/// The description of a backbone: its sections in order, and the layout of its maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The axis of a map that holds the channels.
    pub axis: ChannelAxis,
    /// Sections in the order of computation.
    pub sections: Vec<Section>,
    /// The branches of every block, in order.
    pub branches: Vec<Point>,
    /// Access points at the outputs of operations with parameters.
    pub operations: Operations,
    /// Whether blocks pass tokens, as a map of one row, instead of maps. The patches are the last of them.
    pub has_tokens: bool,
    /// Whether there are batch norms that can be trained: `false` if there are none, or if the weight file has
    /// them folded without their data.
    pub batch_norms: bool,
}

/// Access points at the outputs of operations with parameters, each list in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operations {
    /// Before the first block.
    pub embedding: Vec<Point>,
    /// In the transition to a section.
    pub transition: Vec<Point>,
    /// In a block.
    pub block: Vec<Point>,
}

impl Description {
    /// Returns the sections that end a stage, in the order of the stages.
    pub fn stages(&self) -> impl Iterator<Item = &Section> {
        self.sections
            .iter()
            .filter(|section| section.stage.is_some())
    }

    /// Whether blocks have attention.
    pub fn is_transformer(&self) -> bool {
        self.branch(Point::Attention).is_some()
    }

    /// Whether blocks have an MLP. Then every branch keeps the shape of its input.
    pub fn has_mlps(&self) -> bool {
        self.sections.iter().all(|section| section.hidden.is_some())
    }

    /// Returns the index of the block's branch that ends at a point.
    pub fn branch(&self, point: Point) -> Option<usize> {
        self.branches.iter().position(|&branch| branch == point)
    }

    /// Returns the index of the block's branch that was added to the residual stream just before a point; for
    /// the last branch the point is the block's output.
    pub fn residual(&self, point: Point) -> Option<usize> {
        match point {
            Point::AttentionResidual => Some(0),
            Point::Block => Some(self.branches.len() - 1),
            _ => None,
        }
    }

    /// Returns the number of input pixels per position of the coarsest map along one side.
    ///
    /// Images whose sides are multiples of it are aligned with the maps of every stage. Others are not: a side
    /// of 33 pixels becomes two positions of 32, which do not cover it evenly.
    pub fn coarsest_stride(&self) -> usize {
        let strides = self.sections.iter().map(|section| section.stride);
        strides.max().unwrap_or(1)
    }

    /// Returns the numbers of channels of the stage outputs.
    pub fn stage_channels(&self) -> Vec<usize> {
        self.stages().map(|section| section.channels).collect()
    }

    /// Returns the strides of the stage outputs, in input pixels per map position.
    pub fn strides(&self) -> Vec<usize> {
        self.stages().map(|section| section.stride).collect()
    }

    /// Returns the shapes of the stages for features with these widths, the finest first.
    pub fn shapes(&self, channels: &[usize]) -> Vec<StageShape> {
        let pairs = channels.iter().zip(self.strides());
        pairs
            .map(|(&channels, stride)| StageShape { channels, stride })
            .collect()
    }
}
