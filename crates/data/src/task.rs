//! What can be predicted of an image.

mod dense;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use dense::{DenseTask, LabelKind};

/// What the samples of a dataset hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// The class of every pixel.
    Segmentation,
    /// Boxes of objects, and masks where they are annotated.
    Detection,
    /// Several labels of every pixel; which ones, the opened dataset says.
    MultiTask,
}

impl TaskKind {
    /// `segmentation`, `detection` or `multi_task`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segmentation => "segmentation",
            Self::Detection => "detection",
            Self::MultiTask => "multi_task",
        }
    }
}

impl fmt::Display for TaskKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
