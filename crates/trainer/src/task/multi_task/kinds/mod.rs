//! The table of dense tasks, as they are trained and scored.
//!
//! A task is one line in the invocation of `dense_kinds!` below: its kind and the usual weight of its loss. A kind is
//! one file in this folder, an implementation of [`DenseKind`], which tasks may share. [`TaskScores`] and all that is
//! chosen by the task follow from the table.

mod binary;
mod classes;
mod depth;
mod edges;
mod kind;
mod normals;
mod saliency;

use burn::tensor::Tensor;
use gradway_data::{BatchLabels, DenseTask};
use gradway_kernels::KernelBackend;
use gradway_metrics::MetricDescriptor;
use serde::Serialize;

use super::{TaskPrediction, TasksConfig};
use crate::error::TrainError;
use crate::task::TaskLabels;

pub use kind::{Decoded, DenseKind};

macro_rules! dense_kinds {
    ($($task:ident($kind:ty, $weight:literal),)+) => {
        /// A task with the settings of a run.
        #[derive(Debug, Clone)]
        pub(super) enum Kind {
            $($task($kind),)+
        }

        /// What is counted of the predictions and labels of a task.
        #[derive(Debug)]
        pub(super) enum Counts {
            $($task(<$kind as DenseKind>::Counts),)+
        }

        /// The scores of one of several dense tasks.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum TaskScores {
            $(
                #[doc = concat!("Of [`DenseTask::", stringify!($task), "`].")]
                $task(<$kind as DenseKind>::Scores),
            )+
        }

        impl Kind {
            /// The task of these labels.
            pub(super) fn new(labels: &TaskLabels, config: &TasksConfig) -> Self {
                match labels.task {
                    $(DenseTask::$task => Self::$task(<$kind>::new(labels, config)),)+
                }
            }

            /// Channels of its decoder's output.
            pub(super) fn channels(&self) -> usize {
                match self {
                    $(Self::$task(kind) => kind.channels(),)+
                }
            }

            /// The loss of a batch; none where the labels are of another kind.
            pub(super) fn loss<B: KernelBackend>(
                &self,
                decoded: Decoded<'_, B>,
                labels: BatchLabels,
            ) -> Option<Tensor<B, 1>> {
                match self {
                    $(Self::$task(kind) => kind.loss(decoded, labels),)+
                }
            }

            /// What an output of its decoder stands for.
            pub(super) fn meaning<B: KernelBackend>(&self, output: Tensor<B, 4>) -> Tensor<B, 4> {
                match self {
                    $(Self::$task(kind) => kind.meaning(output),)+
                }
            }

            /// What is said of a mirrored image, of the image itself.
            pub(super) fn unflip<B: KernelBackend>(&self, meaning: Tensor<B, 4>) -> Tensor<B, 4> {
                match self {
                    $(Self::$task(kind) => kind.unflip(meaning),)+
                }
            }

            /// What is said of an image `factor` times as large, of the image itself.
            pub(super) fn unzoom<B: KernelBackend>(
                &self,
                meaning: Tensor<B, 4>,
                factor: f64,
            ) -> Tensor<B, 4> {
                match self {
                    $(Self::$task(kind) => kind.unzoom(meaning, factor),)+
                }
            }

            /// What is predicted by means of what outputs stand for, image by image.
            pub(super) fn predict<B: KernelBackend>(
                &self,
                means: Vec<Tensor<B, 4>>,
            ) -> Vec<TaskPrediction> {
                match self {
                    $(Self::$task(kind) => kind.predict(means),)+
                }
            }

            /// What is predicted by outputs of its decoder, image by image.
            pub(super) fn predict_once<B: KernelBackend>(
                &self,
                outputs: Vec<Tensor<B, 4>>,
            ) -> Vec<TaskPrediction> {
                match self {
                    $(Self::$task(kind) => kind.predict_once(outputs),)+
                }
            }

            /// Nothing is counted yet.
            pub(super) fn counts(&self) -> Result<Counts, TrainError> {
                Ok(match self {
                    $(Self::$task(kind) => Counts::$task(kind.counts()?),)+
                })
            }
        }

        impl Counts {
            /// Counts an image of `width` pixels a row; none where labels or prediction are of another kind.
            pub(super) fn add(
                &mut self,
                predicted: &TaskPrediction,
                truth: &BatchLabels,
                width: usize,
            ) -> Option<Result<(), TrainError>> {
                match self {
                    $(Self::$task(counts) => <$kind>::add(counts, predicted, truth, width),)+
                }
            }

            /// The scores of all that was counted.
            pub(super) fn scores(self) -> TaskScores {
                match self {
                    $(Self::$task(counts) => TaskScores::$task(<$kind>::scores(counts)),)+
                }
            }
        }

        impl TaskScores {
            /// The score that publications print, and its value.
            pub fn main(&self) -> (MetricDescriptor, Option<f64>) {
                match self {
                    $(Self::$task(scores) => <$kind>::main(scores),)+
                }
            }

            /// Reads scores as what the task's name says: by their fields alone, those of a task could pass for
            /// another's.
            pub(super) fn read(
                task: DenseTask,
                scores: serde_json::Value,
            ) -> serde_json::Result<Self> {
                match task {
                    $(DenseTask::$task => serde_json::from_value(scores).map(Self::$task),)+
                }
            }
        }

        /// Weight of a task's loss, as the recipes on PASCAL-Context and NYUD-v2 have it.
        pub(super) fn usual_weight(task: DenseTask) -> f64 {
            match task {
                $(DenseTask::$task => $weight,)+
            }
        }
    };
}

dense_kinds! {
    SemanticSegmentation(classes::Classes, 1.0),
    HumanParts(classes::Classes, 2.0),
    Saliency(saliency::Saliency, 5.0),
    SurfaceNormals(normals::Normals, 10.0),
    Depth(depth::Depth, 1.0),
    Edges(edges::Edges, 50.0),
}
