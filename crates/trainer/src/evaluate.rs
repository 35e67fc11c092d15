//! Predictions and scores of a whole split.

use std::time::Instant;

use gradway_data::{IGNORE, SegmentationLoader};
use gradway_kernels::TrainBackend;
use gradway_metrics::{ConfusionMatrix, SegmentationScores};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::model::Segmentation;

/// The predicted class of every pixel of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// Identifier of the image in its dataset.
    pub id: String,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// `[height, width]` classes.
    pub labels: Vec<u8>,
}

/// Scores of a split and the time they took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Scores.
    #[serde(flatten)]
    pub scores: SegmentationScores,
    /// Images.
    pub images: usize,
    /// Wall time, reading included.
    pub seconds: f64,
}

/// Scores a model on every sample of a loader; `each` is told how many images are done.
///
/// # Errors
///
/// [`TrainError`]: a sample that cannot be read.
pub fn evaluate<B: TrainBackend>(
    model: &Segmentation<B>,
    loader: &SegmentationLoader,
    device: &B::Device,
    mut each: impl FnMut(usize),
) -> Result<Evaluation, TrainError> {
    let start = Instant::now();
    let model = model.inference();
    let mut matrix = ConfusionMatrix::new(loader.dataset().classes().len());
    let mut images = 0;
    for batch in loader.iter(0) {
        let batch = batch?;
        let predictions = model.predict(&batch, device);
        let truths = batch.labels.chunks_exact(batch.height * batch.width);
        for (index, (prediction, truth)) in predictions.iter().zip(truths).enumerate() {
            let truth = batch.without_padding(index, truth);
            matrix.add(&prediction.labels, &truth, IGNORE)?;
        }
        images += batch.count;
        each(images);
    }
    Ok(Evaluation {
        scores: matrix.scores(),
        images,
        seconds: start.elapsed().as_secs_f64(),
    })
}
