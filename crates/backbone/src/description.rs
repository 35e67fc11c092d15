//! What a method needs to know of a backbone's shape.

use gradway_kernels::ChannelAxis;

use crate::Point;

/// A run of blocks of one width at one resolution.
///
/// A Swin has one section per stage; an EfficientNet-Lite several per stride, because its width
/// grows between down-samplings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Channels of every block output in the section.
    pub channels: usize,
    /// Channels between the layers of an MLP, in a transformer.
    pub hidden: Option<usize>,
    /// Input pixels per map position along one side.
    pub stride: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// The stage whose output is this section's, if it ends a stage.
    pub stage: Option<usize>,
}

/// A stage as a neck or a head sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageShape {
    /// Channels of its features.
    pub channels: usize,
    /// Input pixels per map position along one side.
    pub stride: usize,
}

/// The shape of a backbone: its sections in order, and how its maps are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Which axis of a map holds the channels.
    pub axis: ChannelAxis,
    /// Sections in the order of computation.
    pub sections: Vec<Section>,
    /// The branches of every block, in order.
    pub branches: Vec<Point>,
    /// Access points at which an operation with parameters of its own ends.
    pub operations: Operations,
    /// Whether there are batch norms that can be trained: not where there are none, nor where a file has them folded
    /// and says nothing of them.
    pub batch_norms: bool,
}

/// Access points at which an operation with parameters of its own ends, each in order.
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
    /// Sections that end a stage, in the order of the stages.
    pub fn stages(&self) -> impl Iterator<Item = &Section> {
        self.sections
            .iter()
            .filter(|section| section.stage.is_some())
    }

    /// Whether blocks have attention.
    pub fn is_transformer(&self) -> bool {
        self.branch(Point::Attention).is_some()
    }

    /// Which of a block's branches ends at a point.
    pub fn branch(&self, point: Point) -> Option<usize> {
        self.branches.iter().position(|&branch| branch == point)
    }

    /// Which of a block's branches has just been added to the stream at a point; the last one ends in
    /// the block's output.
    pub fn residual(&self, point: Point) -> Option<usize> {
        match point {
            Point::AttentionResidual => Some(0),
            Point::Block => Some(self.branches.len() - 1),
            _ => None,
        }
    }

    /// Input pixels per position of the coarsest map along one side.
    ///
    /// Images whose sides are multiples of it lie exactly under the maps of every stage. Others do not: a
    /// side of 33 pixels becomes two positions of 32, which do not cover it evenly.
    pub fn coarsest_stride(&self) -> usize {
        let strides = self.sections.iter().map(|section| section.stride);
        strides.max().unwrap_or(1)
    }

    /// Channels of the stage outputs.
    pub fn stage_channels(&self) -> Vec<usize> {
        self.stages().map(|section| section.channels).collect()
    }

    /// Input pixels per map position of the stage outputs.
    pub fn strides(&self) -> Vec<usize> {
        self.stages().map(|section| section.stride).collect()
    }

    /// The stage outputs with features of these widths, the finest first.
    pub fn shapes(&self, channels: &[usize]) -> Vec<StageShape> {
        let pairs = channels.iter().zip(self.strides());
        pairs
            .map(|(&channels, stride)| StageShape { channels, stride })
            .collect()
    }
}
