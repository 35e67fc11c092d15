//! The shape of a map that a head reads.

use gradway_backbone::StageShape;

/// The shape of a map that a head reads: a stage of a backbone, or what a neck makes of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapShape {
    /// Number of channels.
    pub channels: usize,
    /// Input pixels per map position along one side. It need not be a whole number: a neck makes maps with a
    /// stride of 3.5 from patches of 14 pixels.
    pub stride: f32,
    /// Whether it is a level of a feature pyramid already. All levels have the same width, and a detector adds
    /// no pyramid of its own.
    pub is_pyramid: bool,
}

impl From<StageShape> for MapShape {
    fn from(stage: StageShape) -> Self {
        Self {
            channels: stage.channels,
            stride: stage.stride as f32,
            is_pyramid: false,
        }
    }
}

impl MapShape {
    /// Returns the shapes of stages that a head reads as they are.
    pub fn of_stages(stages: &[StageShape]) -> Vec<Self> {
        stages.iter().copied().map(Self::from).collect()
    }

    /// Whether all of several maps have one stride, so that they are no pyramid.
    pub fn have_one_stride(maps: &[Self]) -> bool {
        let mut pairs = maps.windows(2);
        maps.len() > 1 && pairs.all(|pair| pair[0].stride == pair[1].stride)
    }

    /// Returns the stride of the coarsest of these maps.
    pub fn coarsest_stride(maps: &[Self]) -> f32 {
        maps.iter().map(|map| map.stride).fold(1.0, f32::max)
    }
}

/// Returns the number of positions of a map with this stride along a side of so many pixels; the last position
/// may reach beyond the image.
pub(crate) fn positions(side: usize, stride: f32) -> usize {
    // Strides are whole numbers divided by a power of two, so the quotient is exact where it is a whole number.
    (side as f32 / stride).ceil() as usize
}

/// Strides in a message, such as `4, 8, 16, 32`.
pub(crate) fn listed(strides: impl IntoIterator<Item = f32>) -> String {
    let strides = strides.into_iter().map(|stride| stride.to_string());
    strides.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_strides_that_are_no_whole_numbers() {
        assert_eq!(positions(28, 3.5), 8);
        assert_eq!(positions(29, 3.5), 9);
        assert_eq!(positions(364, 3.5), 104);
        assert_eq!(positions(33, 32.0), 2);
    }
}
