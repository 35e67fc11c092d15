//! What is predicted of several dense tasks.

use std::collections::BTreeMap;

use gradway_data::DenseTask;

/// What is predicted of every pixel of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiTaskPrediction {
    /// Identifier of the image in its dataset.
    pub id: String,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// By task.
    pub tasks: BTreeMap<DenseTask, TaskPrediction>,
}

/// What is predicted of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskPrediction {
    /// `[height, width]` classes or parts.
    Classes(Vec<u8>),
    /// Numbers that are no classes, such as probabilities, normals or distances.
    Values {
        /// Numbers of a pixel.
        channels: usize,
        /// How they look as a picture.
        appearance: Appearance,
        /// `[channels, height, width]`
        data: Vec<f32>,
    },
}

/// How values look as a picture; classes have the colours of their palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appearance {
    /// The first channel, from 0, black, to 1, white.
    Grey,
    /// The first three channels, `(x + 1) / 2` as red, green and blue; a missing one is 0.
    Directions,
    /// The first channel, from the smallest of the image, light, to the largest, dark.
    NearToFar,
}

impl TaskPrediction {
    /// The classes, `[height, width]`; none where these are values.
    pub fn classes(&self) -> Option<&[u8]> {
        match self {
            Self::Classes(classes) => Some(classes),
            Self::Values { .. } => None,
        }
    }

    /// The values, `[channels, height, width]`; none where these are classes.
    pub fn values(&self) -> Option<&[f32]> {
        match self {
            Self::Values { data, .. } => Some(data),
            Self::Classes(_) => None,
        }
    }
}
