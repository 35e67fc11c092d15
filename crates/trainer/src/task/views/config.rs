//! The configuration of the evaluation of dense tasks.

use gradway_data::{DenseEvaluation, EvaluationSize, NetworkInput};
use serde::{Deserialize, Serialize};

/// Evaluation of segmentation, and of several dense tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenseEvaluationConfig {
    /// Images per forward pass; with windows, flips or scales, parts of one image.
    pub batch_size: usize,
    /// Size that images are resized to, or the windows in which they are seen; predictions are compared with the
    /// labels at the size of the image as it was read.
    pub size: EvaluationSize,
    /// Whether every image is seen mirrored, too, and what is predicted averaged.
    pub flip: bool,
    /// Factors of the size at which every image is seen; what is predicted is averaged.
    pub scales: Vec<f64>,
}

impl Default for DenseEvaluationConfig {
    fn default() -> Self {
        Self {
            batch_size: 4,
            size: EvaluationSize::default(),
            flip: false,
            scales: vec![1.0],
        }
    }
}

impl DenseEvaluationConfig {
    /// The preparation of images for a network.
    pub(crate) fn preparation(&self, input: NetworkInput) -> DenseEvaluation {
        DenseEvaluation {
            size: self.size,
            scales: self.scales.clone(),
            input,
        }
    }

    /// Whether every image is seen once, as it is.
    pub(super) fn has_one_view(&self) -> bool {
        !self.flip && self.scales == [1.0]
    }

    /// Whether every image is seen once, as it is, and whole: several go through the network together.
    pub(in crate::task) fn is_plain(&self) -> bool {
        self.has_one_view() && !matches!(self.size, EvaluationSize::Slide(_))
    }
}
