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

/// The shape of a backbone: its sections in order, and how its maps are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Which axis of a map holds the channels.
    pub axis: ChannelAxis,
    /// Sections in the order of computation.
    pub sections: Vec<Section>,
    /// The branches of every block, in order.
    pub branches: Vec<Point>,
    /// Whether there are batch norms that can be trained: not where there are none, nor where a file has them folded
    /// and says nothing of them.
    pub batch_norms: bool,
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

    /// Channels of the stage outputs.
    pub fn stage_channels(&self) -> Vec<usize> {
        self.stages().map(|section| section.channels).collect()
    }
}
