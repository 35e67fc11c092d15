//! The position of the channel axis of a map.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// The axis of a feature map that holds its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelAxis {
    /// `[batch, height, width, channels]`, as transformers have it.
    Last,
    /// `[batch, channels, height, width]`, as convolutional networks have it.
    First,
}

impl ChannelAxis {
    /// Index of the axis in a map.
    pub fn of_map(self) -> usize {
        match self {
            Self::Last => 3,
            Self::First => 1,
        }
    }

    /// Returns height and width of a map with these sides.
    pub fn size(self, sides: [usize; 4]) -> [usize; 2] {
        match self {
            Self::Last => [sides[1], sides[2]],
            Self::First => [sides[2], sides[3]],
        }
    }

    /// Index of the axis in `[batch, positions, channels]` or `[batch, channels, positions]`.
    pub(crate) fn of_rows(self) -> usize {
        match self {
            Self::Last => 2,
            Self::First => 1,
        }
    }

    /// The other axis.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Last => Self::First,
            Self::First => Self::Last,
        }
    }
}

/// Returns a map with its channels first.
///
/// On Flex the result and its gradient are contiguous in this layout. Otherwise every operator that reads a
/// view of another layout would copy it again, element by element.
///
/// # Shapes
///
/// - `x`: a map whose channels are on `axis`
/// - output: `[batch, channels, height, width]`
pub fn channels_first<B: KernelBackend>(x: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
    moved(x, axis, ChannelAxis::First)
}

/// Returns a map with its channels last, contiguous as by [`channels_first`].
///
/// # Shapes
///
/// - `x`: a map whose channels are on `axis`
/// - output: `[batch, height, width, channels]`
pub fn channels_last<B: KernelBackend>(x: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
    moved(x, axis, ChannelAxis::Last)
}

fn moved<B: KernelBackend>(x: Tensor<B, 4>, from: ChannelAxis, to: ChannelAxis) -> Tensor<B, 4> {
    if from == to {
        return x;
    }
    tensor(B::move_channels(float(x), to))
}

pub(crate) fn forward<B: KernelBackend>(x: FloatTensor<B>, to: ChannelAxis) -> FloatTensor<B> {
    let axes = match to {
        ChannelAxis::First => [0, 3, 1, 2],
        ChannelAxis::Last => [0, 2, 3, 1],
    };
    B::float_permute(x, &axes)
}
