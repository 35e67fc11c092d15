//! What can be known of every pixel: the table of dense tasks.
//!
//! A task is one line in the invocation of `dense_tasks!` below. Its name in configurations and files, what its labels
//! are and the names of its classes where it has two by definition follow from the line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the label of a pixel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelKind {
    /// One of the classes that the dataset lists.
    Classes,
    /// 0 for the background, or 1.
    Binary {
        /// Name of class 1.
        positive: &'static str,
    },
    /// A unit vector in the coordinates of the camera.
    Normals,
    /// A distance in metres.
    Depth,
}

macro_rules! dense_tasks {
    ($(
        $task:ident($name:literal, $kind:ident $({ $field:ident: $value:literal })?): $summary:literal,
    )+) => {
        /// A dense task. The order is the same wherever tasks are listed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum DenseTask {
            $(
                #[doc = $summary]
                #[serde(rename = $name)]
                $task,
            )+
        }

        impl DenseTask {
            /// Every task, in order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$task),+];

            /// The name as a configuration writes it, such as `surface_normals`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$task => $name,)+
                }
            }

            /// What its labels are.
            pub fn labels(self) -> LabelKind {
                match self {
                    $(Self::$task => LabelKind::$kind $({ $field: $value })?,)+
                }
            }
        }
    };
}

dense_tasks! {
    SemanticSegmentation("semantic_segmentation", Classes): "The class of every pixel.",
    HumanParts("human_parts", Classes): "The part of a person; class 0 is the background.",
    Saliency("saliency", Binary { positive: "salient" }): "What draws the eye: 0 or 1.",
    SurfaceNormals("surface_normals", Normals): "The direction that the visible surface faces.",
    Depth("depth", Depth): "The distance of the visible surface along the optical axis.",
    Edges("edges", Binary { positive: "edge" }): "Boundaries: 0 or 1.",
}

impl DenseTask {
    /// Whether its labels are classes, which includes 0 and 1.
    pub fn has_classes(self) -> bool {
        matches!(self.labels(), LabelKind::Classes | LabelKind::Binary { .. })
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
