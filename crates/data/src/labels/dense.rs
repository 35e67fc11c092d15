//! Labels of one task of one image.

use serde::{Deserialize, Serialize};

use super::label_map::{IGNORE, LabelMap};
use crate::task::DenseTask;

/// How far the length of a normal may be from 1: files hold them in 8 or 16 bits.
const LENGTH_TOLERANCE: f32 = 1e-3;

/// Labels of one task, one a pixel, row by row, top row first.
#[derive(Debug, Clone, PartialEq)]
pub enum DenseLabels {
    /// Classes, parts, saliency or edges; [`IGNORE`] where there is none.
    Classes(LabelMap),
    /// Surface normals.
    Normals(NormalMap),
    /// Distances.
    Depth(DepthMap),
}

/// Which way the second component of normals points; the first one points to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerticalAxis {
    /// Against the order of the rows.
    Up,
    /// With the order of the rows.
    Down,
}

/// The direction that the visible surface faces.
///
/// A map keeps the axes of the files or scenes it comes from: only rotations have to know them.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalMap {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Which way the second component points.
    pub vertical: VerticalAxis,
    /// `[height, width]` unit vectors in the coordinates of the camera, `[0, 0, 0]` to be ignored.
    pub data: Vec<[f32; 3]>,
}

/// The distance of the visible surface along the optical axis.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthMap {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `[height, width]` distances in metres, 0 to be ignored.
    pub data: Vec<f32>,
}

impl DenseLabels {
    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Classes(map) => (map.width, map.height),
            Self::Normals(map) => (map.width, map.height),
            Self::Depth(map) => (map.width, map.height),
        }
    }

    /// Number of labels stored.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(map) => map.data.len(),
            Self::Normals(map) => map.data.len(),
            Self::Depth(map) => map.data.len(),
        }
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of pixels that train and score.
    pub fn labelled(&self) -> usize {
        match self {
            Self::Classes(map) => map.data.iter().filter(|label| **label != IGNORE).count(),
            Self::Normals(map) => map.data.iter().filter(|n| **n != [0.0; 3]).count(),
            Self::Depth(map) => map.data.iter().filter(|depth| **depth != 0.0).count(),
        }
    }

    /// What is wrong with them as labels of `task`, in words; nothing if they fit.
    pub(crate) fn fault(&self, task: DenseTask) -> Option<String> {
        let (kind, expected) = match (self, task) {
            (Self::Classes(map), DenseTask::Saliency | DenseTask::Edges) => {
                let wrong = |label: &&u8| !matches!(**label, 0 | 1 | IGNORE);
                let wrong = map.data.iter().find(wrong)?;
                return Some(format!(
                    "a label is {wrong}; expected 0, 1 or {IGNORE} (ignore)"
                ));
            }
            (Self::Classes(_), DenseTask::SemanticSegmentation | DenseTask::HumanParts) => {
                return None;
            }
            (Self::Normals(map), DenseTask::SurfaceNormals) => {
                let wrong = map.data.iter().find(|normal| !is_unit_or_zero(normal))?;
                return Some(format!(
                    "a normal is {wrong:?}; expected unit vectors, or [0, 0, 0] to be ignored"
                ));
            }
            (Self::Depth(map), DenseTask::Depth) => {
                let right = |depth: &f32| depth.is_finite() && *depth >= 0.0;
                let wrong = map.data.iter().find(|depth| !right(depth))?;
                return Some(format!(
                    "a depth is {wrong}; expected positive numbers, or 0 to be ignored"
                ));
            }
            (Self::Classes(_), _) => ("classes", task),
            (Self::Normals(_), _) => ("normals", task),
            (Self::Depth(_), _) => ("distances", task),
        };
        Some(format!("the labels are {kind}, not {expected}"))
    }
}

/// Written so that NaN fails.
fn is_unit_or_zero(normal: &[f32; 3]) -> bool {
    let length = normal.iter().map(|value| value * value).sum::<f32>().sqrt();
    *normal == [0.0; 3] || (length - 1.0).abs() <= LENGTH_TOLERANCE
}

/// A vector of length 1, or none if it is too short to tell its direction.
pub(crate) fn unit(vector: [f32; 3]) -> Option<[f32; 3]> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    // Written so that NaN fails.
    (length > 1e-6 && length.is_finite()).then(|| vector.map(|value| value / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_say_what_is_wrong() {
        let classes = |label| DenseLabels::Classes(LabelMap::filled(2, 1, label));
        assert_eq!(classes(20).fault(DenseTask::SemanticSegmentation), None);
        assert_eq!(classes(IGNORE).fault(DenseTask::Edges), None);
        let wrong = classes(2).fault(DenseTask::Saliency).unwrap();
        assert!(wrong.contains("a label is 2"), "{wrong}");
        let wrong = classes(1).fault(DenseTask::Depth).unwrap();
        assert!(wrong.contains("classes, not depth"), "{wrong}");
        let normals = |normal| {
            DenseLabels::Normals(NormalMap {
                width: 2,
                height: 1,
                vertical: VerticalAxis::Up,
                data: vec![[0.0; 3], normal],
            })
        };
        let fault = |normal| normals(normal).fault(DenseTask::SurfaceNormals);
        assert_eq!(fault([0.6, 0.0, -0.8]), None);
        assert!(fault([0.5, 0.0, 0.0]).is_some());
        assert!(fault([f32::NAN, 0.0, 0.0]).is_some());
        assert_eq!(normals([0.6, 0.0, -0.8]).labelled(), 1);
        let depth = |depth| {
            DenseLabels::Depth(DepthMap {
                width: 1,
                height: 1,
                data: vec![depth],
            })
        };
        assert_eq!(depth(0.0).fault(DenseTask::Depth), None);
        assert!(depth(-1.0).fault(DenseTask::Depth).is_some());
        assert!(depth(f32::INFINITY).fault(DenseTask::Depth).is_some());
    }
}
