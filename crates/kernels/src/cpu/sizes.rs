//! Sizes of a convolution.

use super::depthwise::Geometry;

/// Sizes of a convolution of one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dense {
    pub(super) geometry: Geometry,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
}

impl Dense {
    /// Rows of a panel for each input channel.
    pub(super) fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    pub(super) fn positions(&self) -> usize {
        self.geometry.output.iter().product()
    }

    /// Whether an output reads the input only at its own position.
    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.geometry.input == self.geometry.output
    }

    pub(super) fn plane(&self) -> usize {
        self.geometry.input.iter().product()
    }
}
