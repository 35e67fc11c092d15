//! What can be known of every pixel.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A dense task. The order is the same wherever tasks are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenseTask {
    /// The class of every pixel.
    SemanticSegmentation,
    /// The part of a person that every pixel shows; class 0 is the background.
    HumanParts,
    /// Whether a pixel belongs to what draws the eye: 0 or 1.
    Saliency,
    /// The direction that the visible surface faces, in the coordinates of the camera.
    SurfaceNormals,
    /// The distance of the visible surface along the optical axis.
    Depth,
    /// Whether a pixel lies on a boundary: 0 or 1.
    Edges,
}

impl DenseTask {
    /// Every task, in order.
    pub const ALL: [Self; 6] = [
        Self::SemanticSegmentation,
        Self::HumanParts,
        Self::Saliency,
        Self::SurfaceNormals,
        Self::Depth,
        Self::Edges,
    ];

    /// The name as a configuration writes it, such as `surface_normals`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SemanticSegmentation => "semantic_segmentation",
            Self::HumanParts => "human_parts",
            Self::Saliency => "saliency",
            Self::SurfaceNormals => "surface_normals",
            Self::Depth => "depth",
            Self::Edges => "edges",
        }
    }

    /// Whether its labels are classes; else they are normals or distances.
    pub fn has_classes(self) -> bool {
        !matches!(self, Self::SurfaceNormals | Self::Depth)
    }
}

impl fmt::Display for DenseTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_configurations_and_the_order_is_kept() {
        for task in DenseTask::ALL {
            assert_eq!(serde_json::to_value(task).unwrap(), task.name());
        }
        assert!(DenseTask::ALL.is_sorted());
    }
}
