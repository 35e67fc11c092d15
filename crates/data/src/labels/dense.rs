//! Labels of one task of one image: the table of label maps.
//!
//! A kind of label map is one file in the folder of this one and one line in the invocation of `label_maps!` below. All
//! that depends on what a label is stands in the file, an implementation of [`PixelMap`].

mod batch;
mod classes;
mod depth;
mod map;
mod normals;
mod side_by_side;
mod tally;

use crate::plane::Turn;
use crate::task::{DenseTask, LabelKind};

use map::PixelMap;

pub use batch::BatchLabels;
pub use classes::{IGNORE, LabelMap, MAXIMUM_CLASSES};
pub use depth::DepthMap;
pub(crate) use normals::unit;
pub use normals::{NormalMap, VerticalAxis};
pub(crate) use tally::LabelTally;

macro_rules! label_maps {
    ($($(#[$documentation:meta])* $variant:ident($map:ident) of $kinds:pat,)+) => {
        /// Labels of one task, one a pixel, row by row, top row first.
        #[derive(Debug, Clone, PartialEq)]
        pub enum DenseLabels {
            $($(#[$documentation])* $variant($map),)+
        }

        impl DenseLabels {
            /// Width and height in pixels.
            pub fn size(&self) -> (u32, u32) {
                match self {
                    $(Self::$variant(map) => map.size(),)+
                }
            }

            /// Number of labels stored.
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$variant(map) => map.labels().len(),)+
                }
            }

            /// Number of pixels that train and score.
            pub fn labelled(&self) -> usize {
                match self {
                    $(Self::$variant(map) => labelled(map),)+
                }
            }

            /// What is wrong with them as labels of `task`, in words; nothing if they fit.
            pub(crate) fn fault(&self, task: DenseTask) -> Option<String> {
                match (self, task.labels()) {
                    $((Self::$variant(map), kind @ $kinds) => map.fault(kind),)+
                    $((Self::$variant(_), _) => {
                        Some(format!("the labels are {}, not {task}", $map::NAME))
                    })+
                }
            }

            /// Counts them, for the report on a dataset.
            pub(crate) fn count(&self, tally: &mut LabelTally) {
                match self {
                    $(Self::$variant(map) => map.count(tally),)+
                }
            }

            /// The labels at another width and height.
            pub(crate) fn resize(&self, size: (u32, u32)) -> Self {
                match self {
                    $(Self::$variant(map) => Self::$variant(map.resize(size)),)+
                }
            }

            /// The window of `size`, width and height, at `corner`, x and y; it must lie within them.
            pub(crate) fn crop(&self, corner: [u32; 2], size: (u32, u32)) -> Self {
                match self {
                    $(Self::$variant(map) => Self::$variant(map.crop(corner, size)),)+
                }
            }

            /// Mirrors them left to right.
            pub(crate) fn flip(&mut self) {
                match self {
                    $(Self::$variant(map) => map.flip(),)+
                }
            }

            /// The labels rotated about their centre; what comes from outside is ignored.
            pub(crate) fn rotate(&self, turn: &Turn) -> Self {
                match self {
                    $(Self::$variant(map) => Self::$variant(map.rotate(turn)),)+
                }
            }

            /// Changes them as a picture `factor` times as large shows them.
            pub(crate) fn zoom(&mut self, factor: f32) {
                match self {
                    $(Self::$variant(map) => map.zoom(factor),)+
                }
            }

            /// The labels that pictures have of `task` side by side, on maps of `size`, height and width.
            ///
            /// What is beyond a picture, and all of one without labels of the task's kind, is ignored.
            pub(crate) fn batch(
                task: DenseTask,
                pictures: &[Option<&Self>],
                size: [usize; 2],
            ) -> BatchLabels {
                match task.labels() {
                    $($kinds => {
                        let maps = pictures.iter().map(|labels| match labels {
                            Some(Self::$variant(map)) => Some(map),
                            _ => None,
                        });
                        $map::batch(&maps.collect::<Vec<_>>(), size)
                    })+
                }
            }
        }
    };
}

label_maps! {
    /// Classes, parts, saliency or edges; [`IGNORE`] where there is none.
    Classes(LabelMap) of LabelKind::Classes | LabelKind::Binary { .. },
    /// Surface normals.
    Normals(NormalMap) of LabelKind::Normals,
    /// Distances.
    Depth(DepthMap) of LabelKind::Depth,
}

impl DenseLabels {
    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Number of pixels that are not ignored.
fn labelled<M: PixelMap>(map: &M) -> usize {
    let labels = map.labels().iter();
    labels.filter(|label| **label != M::IGNORED).count()
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
